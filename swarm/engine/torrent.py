"""One torrent of the engine, as the roles see it: futures and plain values, no libtorrent types."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import libtorrent as lt

from swarm.deadline import within
from swarm.disk_errors import disk_error
from swarm.engine import resume
from swarm.errors import StorageFailed, SwarmError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from swarm.metainfo import Metainfo

_LOG = logging.getLogger(__name__)

#: A disk that does not answer for so long has failed.
_DISK_SECONDS = 120.0
#: libtorrent's priorities of pieces: 4 is the default, and 5 comes before it.
_USUAL, _FIRST = 4, 5


@dataclass(frozen=True)
class Progress:
    """How far a torrent is. Bytes; totals count from when the torrent was added."""

    done: int = 0
    downloaded: int = 0
    uploaded: int = 0
    download_rate: int = 0
    upload_rate: int = 0
    peers: int = 0


class Torrent:
    """Made by :meth:`swarm.engine.Engine.add` only."""

    def __init__(
        self,
        metainfo: Metainfo,
        path: Path,
        handle: lt.torrent_handle,
        forget: Callable[[Torrent], Awaitable[None]],
        *,
        has_all: bool = False,
    ) -> None:
        self.metainfo = metainfo
        self.path = path
        self.handle = handle
        self._forget = forget
        self._progress = Progress()
        self._finished = asyncio.Event()
        self._failure: asyncio.Future[SwarmError] = asyncio.get_running_loop().create_future()
        self._disk = asyncio.Lock()
        #: What libtorrent has been asked and has not answered yet, in the order of the questions.
        self._flushes: deque[asyncio.Future[None]] = deque()
        self._renames: deque[asyncio.Future[None]] = deque()
        self._reads: deque[asyncio.Future[None]] = deque()
        self._saved = b""
        self._has_all = has_all

    def progress(self) -> Progress:
        """Return the latest figures; at most half a second old."""
        return self._progress

    @property
    def left(self) -> int:
        """Bytes that it lacks, by the latest figures; exact once it is complete."""
        if self._has_all or self._finished.is_set():
            return 0
        # Never 0 before libtorrent has said that it is finished.
        return max(1, self.metainfo.size - self._progress.done)

    def connect(self, peers: Iterable[tuple[str, int]]) -> None:
        """Connect to peers by address and port; those that are connected already are left alone."""
        with contextlib.suppress(RuntimeError):  # it is leaving
            for peer in peers:
                self.handle.connect_peer(peer)

    def fetch_first(self, k: int, n: int) -> None:
        """Fetch the pieces whose number is ``k`` modulo ``n`` before all others."""
        if self.left:
            priorities = [
                _FIRST if p % n == k else _USUAL for p in range(self.metainfo.piece_count)
            ]
            with contextlib.suppress(RuntimeError):
                self.handle.prioritize_pieces(priorities)

    def announce(self, *, after_seconds: int) -> None:
        """Announce to the tracker at that time, whatever interval it asked for."""
        with contextlib.suppress(RuntimeError):
            self.handle.force_reannounce(
                after_seconds, -1, lt.reannounce_flags_t.ignore_min_interval
            )

    def fail(self, error: SwarmError) -> None:
        """End it with ``error``, for whoever waits for it or watches it."""
        self._fail(error)

    async def finished(self) -> None:
        """Wait until every piece has arrived and is verified; not yet until it is on disk.

        Raises :class:`~swarm.errors.NoSpace` or :class:`~swarm.errors.StorageFailed` when the file
        can't be written.
        """
        arrived = asyncio.ensure_future(self._finished.wait())
        either: set[asyncio.Future[Any]] = {arrived, self._failure}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            arrived.cancel()
        if self._failure.done():
            raise self._failure.result()

    async def failed(self) -> SwarmError:
        """Wait until the file can't be read or written any more, and return why."""
        return await asyncio.shield(self._failure)

    async def flush(self) -> None:
        """Wait until every verified byte is with the kernel.

        "Finished" is not that: the pread back end has a write cache of its own, and a file read at
        that moment can lack its last pieces. For the same reason a full disk may show only here.

        Raises :class:`~swarm.errors.NoSpace` or :class:`~swarm.errors.StorageFailed` if a byte
        could not be written.
        """
        await self._ask_disk(self._flushes, self.handle.flush_cache)
        if self._failure.done():
            raise self._failure.result()

    async def save_resume(self) -> bytes | None:
        """Return resume data that claim only what the kernel has, or None if nothing changed."""
        pieces = await asyncio.to_thread(self._pieces)
        await self.flush()  # after the look: everything that was seen is written now
        blob = resume.pack(pieces)
        if blob == self._saved:
            return None
        self._saved = blob
        return blob

    def _pieces(self) -> list[bool]:
        try:
            return list(self.handle.status(lt.torrent_handle.query_pieces).pieces)
        except RuntimeError as error:
            raise _stopped(self.path) from error

    async def hold_open(self) -> None:
        """Have libtorrent open the file now, so that it is served whatever becomes of its name.

        libtorrent opens a file at the first read after the last write. If that is a peer's request
        just when the file has lost its old name, before :meth:`renamed`, the file is not found,
        and the peer is told that the piece is not here. Raises
        :class:`~swarm.errors.StorageFailed` if the file can't be read.
        """
        await self._ask_disk(self._reads, lambda: self.handle.read_piece(0))

    async def renamed(self, path: Path) -> None:
        """Go on with the file at ``path``, where the caller has linked or renamed it."""
        await self._ask_disk(self._renames, lambda: self.handle.rename_file(0, str(path)))
        self.path = path

    async def remove(self) -> None:
        """Leave the swarm. The file stays."""
        await self._forget(self)

    async def _ask_disk(
        self, questions: deque[asyncio.Future[None]], ask: Callable[[], object]
    ) -> None:
        """Call ``ask`` and wait for the alert that answers it, one question at a time."""
        async with self._disk:
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            ask()
            # It stays there if the asker gives up: the next one must not take its answer, which
            # says nothing of what was written since.
            questions.append(answer)
            try:
                await within(_DISK_SECONDS, answer)
            except asyncio.TimeoutError:
                raise StorageFailed(
                    f"the disk did not answer within {_DISK_SECONDS:.0f} s", path=str(self.path)
                ) from None

    def hear(self, alert: lt.alert) -> None:
        """Take one alert about this torrent; the engine calls this."""
        match alert:
            case lt.torrent_finished_alert():
                self._finished.set()
            case lt.cache_flushed_alert():
                _answer(self._flushes)
            case lt.file_renamed_alert():
                _answer(self._renames)
            case lt.read_piece_alert():
                failed = alert.error.value()
                _answer(self._reads, self._storage_error(alert.error) if failed else None)
            case lt.fastresume_rejected_alert():
                _LOG.warning("%s: resume data rejected: %s", self.path, alert.error.message())
            case lt.file_rename_failed_alert():
                _answer(self._renames, self._storage_error(alert.error))
            case lt.file_error_alert():
                self._fail(self._storage_error(alert.error))
            case lt.torrent_error_alert():
                self._fail(self._storage_error(alert.error))

    def see(self, status: lt.torrent_status) -> None:
        """Take new figures; the engine calls this."""
        self._progress = Progress(
            done=status.total_done,
            downloaded=status.total_payload_download,
            uploaded=status.total_payload_upload,
            download_rate=status.download_payload_rate,
            upload_rate=status.upload_payload_rate,
            peers=status.num_peers,
        )

    def gone(self) -> None:
        """Wake whoever waits: the torrent has left the session; the engine calls this."""
        self._fail(_stopped(self.path))
        for questions in (self._flushes, self._renames, self._reads):
            while questions:
                _answer(questions, _stopped(self.path))

    def _fail(self, error: SwarmError) -> None:
        if not self._failure.done():
            self._failure.set_result(error)

    def _storage_error(self, error: lt.error_code) -> SwarmError:
        return disk_error(str(self.path), error.value(), error.message())


def _answer(questions: deque[asyncio.Future[None]], error: SwarmError | None = None) -> None:
    if not questions:
        return  # libtorrent flushed of its own accord: it does when a torrent is finished
    future = questions.popleft()
    if future.done():
        return  # the asker gave up
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _stopped(path: Path) -> SwarmError:
    return StorageFailed("the transfer was stopped", path=str(path))
