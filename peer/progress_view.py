"""A transfer on the screen: a live bar on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from swarm.messages import TransferState

if TYPE_CHECKING:
    from typing_extensions import Self

    from swarm.messages import TransferDocument

#: Without a terminal, a line for each tenth is enough.
_PARTS = 10


class View(Protocol):
    """What follows a transfer; use it as a context manager."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, transfer: TransferDocument) -> None:
        """Show the transfer as it is now."""


class Silent:
    """Shows nothing: for ``--json``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, transfer: TransferDocument) -> None:
        """Do nothing."""


class Lines:
    """One line for each new state, and for each tenth of the bytes."""

    def __init__(self) -> None:
        self._last: tuple[TransferState, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, transfer: TransferDocument) -> None:
        """Print a line, if there is news."""
        part = _PARTS * transfer.progress // transfer.size if transfer.size else 0
        if (transfer.state, part) == self._last:
            return
        self._last = (transfer.state, part)
        sys.stdout.write(line_of(transfer) + "\n")
        sys.stdout.flush()


class Bar:
    """State, bar, bytes, rate, time left and peers, on one line that is drawn again and again."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<11}"),
            BarColumn(),
            TaskProgressColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[rate]:>12}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[peers]} peers"),
            console=console or Console(),
        )
        self._task = self._progress.add_task("queued", total=None, rate="", peers=0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, transfer: TransferDocument) -> None:
        """Draw the transfer as it is now."""
        self._progress.update(
            self._task,
            description=transfer.state.value,
            total=transfer.size,
            completed=transfer.progress,
            rate=f"{decimal(transfer.download_rate)}/s",
            peers=transfer.peers,
        )


def line_of(transfer: TransferDocument) -> str:
    """Return the transfer in one line."""
    if transfer.size is None:
        return transfer.state.value
    percent = 100 * transfer.progress // transfer.size
    text = f"{transfer.state.value} {percent}% of {decimal(transfer.size)}"
    if transfer.state is TransferState.DOWNLOADING:
        text += f" at {decimal(transfer.download_rate)}/s from {transfer.peers} peers"
    return text


def view(*, as_json: bool) -> View:
    """Return the view that fits where standard output goes."""
    if as_json:
        return Silent()
    return Bar() if sys.stdout.isatty() else Lines()
