"""What the demo shows: a live board while images spread, and the figures afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from swarm.messages import TransferState

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from typing_extensions import Self

    from swarm.demo.run import Outcome
    from swarm.messages import ImageDocument, SeedDocument, TransferDocument

_MIB = 1 << 20
_STYLES = {TransferState.COMPLETE: "green", TransferState.FAILED: "red"}


class Board:
    """A live table: the seeder, then a line for each agent. A context manager."""

    def __init__(self, console: Console, image: ImageDocument) -> None:
        self._console = console
        self._image = image
        self._seed: SeedDocument | None = None
        self._transfers: dict[str, TransferDocument] = {}
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=5)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show_seeder(self, seed: SeedDocument) -> None:
        """Bring the seeder's line up to date."""
        self._seed = seed

    def show_agent(self, name: str, transfer: TransferDocument) -> None:
        """Bring an agent's line up to date."""
        self._transfers[name] = transfer

    def _draw(self) -> RenderableType:
        table = _table(f"{self._image.name}, {_size(self._image.size)}")
        for heading in ("node", "state", "", "have", "MiB/s down", "up", "peers"):
            is_number = heading in {"have", "MiB/s down", "up", "peers"}
            table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
        if self._seed is not None:
            seed = self._seed
            sent = f"{seed.uploaded / seed.size:.2f} images sent"
            cells = ("seeder", "[blue]seeding[/blue]", sent, "100 %", "")
            table.add_row(*cells, _mib(seed.upload_rate), str(seed.peers))
        for name in sorted(self._transfers):
            table.add_row(name, *_agent_cells(self._transfers[name], self._image.size))
        return Group(table)


def _agent_cells(transfer: TransferDocument, size: int) -> list[RenderableType]:
    style = _STYLES.get(transfer.state, "yellow")
    return [
        f"[{style}]{transfer.state.value}[/{style}]",
        ProgressBar(total=size, completed=transfer.progress, width=18),
        f"{100 * transfer.progress // size} %",
        _mib(transfer.download_rate),
        _mib(transfer.upload_rate),
        str(transfer.peers),
    ]


def print_summary(console: Console, outcome: Outcome) -> None:
    """Print what was measured for one image."""
    table = _table(f"{outcome.name}, {_size(outcome.size)}")
    for heading in ("agent", "seconds", "MiB/s", "SHA-512"):
        table.add_column(heading, justify="left" if heading == "agent" else "right")
    for delivery in outcome.deliveries:
        verdict = "[green]equal[/green]" if delivery.is_identical else "[red]DIFFERS[/red]"
        failure = delivery.transfer.failure
        table.add_row(
            delivery.agent,
            f"{delivery.seconds:.2f}",
            _mib(outcome.size / delivery.seconds),
            verdict if failure is None else f"[red]{failure.step.value}: {failure.reason}[/red]",
        )
    console.print(table)
    agents = len(outcome.deliveries)
    together = _mib(agents * outcome.size / outcome.seconds)
    console.print(
        f"{agents} agents in {outcome.seconds:.2f} s, {together} MiB/s together. The seeder sent "
        f"{outcome.uploaded_by_seeder / outcome.size:.2f} images.",
        highlight=False,
    )
    if outcome.conversion_seconds:
        console.print(
            f"Converted in {outcome.conversion_seconds:.2f} s: "
            f"{outcome.size / 1e6 / outcome.conversion_seconds:.0f} MB/s with os_hash (SHA-512) "
            "in the same pass.",
            highlight=False,
        )


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def _size(count: int) -> str:
    return f"{count / _MIB:.0f} MiB" if count >= _MIB else f"{count} bytes"


def _mib(count: float) -> str:
    return f"{count / _MIB:.0f}"
