"""A transfer on the screen."""

from __future__ import annotations

import io
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from rich.console import Console

from peer.progress_view import Bar, Lines, Silent, line_of, view
from swarm.messages import DestinationFormat, TransferDocument, TransferState, Verify
from tests.images import IMAGE_ID

if TYPE_CHECKING:
    import pytest

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
MIB = 1 << 20


def transfer(
    state: TransferState, *, progress: int = 0, size: int | None = None
) -> TransferDocument:
    """Return a transfer to be shown."""
    return TransferDocument(
        id="t",
        image_id=IMAGE_ID,
        source_url=f"glance:{IMAGE_ID}",
        destination_url="file:///root/disk",
        destination_format=DestinationFormat.AS_IS,
        verify=Verify.PIECES,
        state=state,
        size=size,
        progress=progress,
        download_rate=5_000_000,
        peers=3,
        created_at=NOW,
        updated_at=NOW,
    )


def test_without_a_terminal_there_is_a_line_for_each_change(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A new state, or another tenth; no control sequences."""
    with Lines() as lines:
        lines.show(transfer(TransferState.QUEUED))
        lines.show(transfer(TransferState.QUEUED))
        for done in range(21):
            lines.show(transfer(TransferState.DOWNLOADING, progress=done * MIB, size=20 * MIB))
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + 11
    assert printed[0] == "queued"
    assert printed[1] == "downloading 0% of 21.0 MB at 5.0 MB/s from 3 peers"


def test_a_line_has_no_rate_where_nothing_is_downloaded() -> None:
    """While it is verified, and at the end."""
    done = transfer(TransferState.COMPLETE, progress=MIB, size=MIB)
    assert line_of(done) == "complete 100% of 1.0 MB"


def test_a_terminal_shows_state_bytes_rate_and_peers() -> None:
    """On a console that claims to be one."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    with Bar(console) as bar:
        bar.show(transfer(TransferState.QUEUED))
        bar.show(transfer(TransferState.DOWNLOADING, progress=5 * MIB, size=20 * MIB))
    text = screen.getvalue()
    for part in ("downloading", "25%", "5.2/21.0 MB", "5.0 MB/s", "3 peers"):
        assert part in text, part


def test_the_view_fits_where_standard_output_goes(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON is not mixed with anything."""
    with view(as_json=True) as silent:
        assert isinstance(silent, Silent)
        silent.show(transfer(TransferState.QUEUED))
    assert isinstance(view(as_json=False), Lines)
    assert capsys.readouterr().out == ""
