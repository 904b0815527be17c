"""The engine: one libtorrent session, through which every torrent of a node is added.

It owns two things that run by themselves: the alert pump and a task that asks for figures. Both end
with ``async with``.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
from typing import TYPE_CHECKING, Protocol

import libtorrent as lt

from swarm.deadline import within
from swarm.disk_errors import translated
from swarm.engine import resume as resume_data
from swarm.engine.alerts import AlertPump
from swarm.engine.profiles import EngineSettings, limit_lan_peers, queue_seconds, session_params
from swarm.engine.torrent import Torrent
from swarm.errors import ConfigurationError, Conflict, StorageFailed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from typing_extensions import Self

    from swarm.metainfo import Metainfo

_LOG = logging.getLogger(__name__)

_FIGURES_SECONDS = 0.5
_START_SECONDS = 10.0
_STOP_SECONDS = 10.0
#: libtorrent waits half an hour after a tracker's `failure reason`, and up to an hour after many
#: refused connections; a tracker that was restarted must not cost that.
_REANNOUNCE_SECONDS = 5
_LONGEST_REANNOUNCE_SECONDS = 60
#: libtorrent's word for an address that is not talked to (ip_filter::blocked).
_BLOCKED = 1


class Observer(Protocol):
    """Who hears of an engine's torrents. No method may block or raise."""

    def joined(self, torrent: Torrent) -> None:
        """Hear that a torrent was added."""

    def finished(self, torrent: Torrent) -> None:
        """Hear that a torrent has every piece."""

    def left(self, torrent: Torrent) -> None:
        """Hear that a torrent was removed."""


class Engine:
    """Use it as an asynchronous context manager.

    ::

        async with Engine(EngineSettings(listen_address="10.0.0.5")) as engine:
            torrent = await engine.add(metainfo, path, announce_url=tracker.announce_url)
            await torrent.finished()
            await torrent.flush()

    Entering raises :class:`~swarm.errors.ConfigurationError` if it can't listen.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self._torrents: dict[lt.torrent_handle, Torrent] = {}
        self._by_hash: dict[bytes, Torrent] = {}
        self._listening: asyncio.Future[int] | None = None
        self._added: dict[bytes, tuple[Metainfo, Path, asyncio.Future[Torrent]]] = {}
        self._removed: dict[bytes, asyncio.Event] = {}
        self._observers: list[Observer] = []
        self._queue_seconds = queue_seconds(0)

    async def __aenter__(self) -> Self:
        self._listening = asyncio.get_running_loop().create_future()
        self._session = lt.session(session_params(self.settings))
        limit_lan_peers(self._session)
        self._pump = AlertPump(self._session, self._hear)
        self._figures = asyncio.create_task(self._ask_for_figures(), name="engine figures")
        try:
            self.port = await within(_START_SECONDS, self._listening)
        except BaseException:
            await self._close()
            raise
        _LOG.info("peers connect to %s port %d", self.settings.listen_address, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def _close(self) -> None:
        self._figures.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._figures
        # One by one first: the session's destructor holds the GIL while it waits for what is left.
        await asyncio.gather(*(self._remove(torrent) for torrent in list(self._by_hash.values())))
        write_end = self._pump.close()
        last_reference = [self._session]
        del self._session, self._pump
        await asyncio.to_thread(last_reference.clear)
        os.close(write_end)

    def observe(self, observer: Observer) -> None:
        """Have ``observer`` hear of every torrent, those that are there already included."""
        self._observers.append(observer)
        for torrent in self._by_hash.values():
            observer.joined(torrent)

    def block(self, networks: Iterable[str]) -> None:
        """Have no connection with hosts of exactly these networks (CIDR); running ones end."""
        blocked = lt.ip_filter()
        for network in map(ipaddress.ip_network, networks):
            first, last = str(network[0]), str(network[-1])
            blocked.add_rule(first, last, _BLOCKED)
        self._session.set_ip_filter(blocked)

    def torrent(self, info_hash: bytes) -> Torrent | None:
        """Return the torrent that ``info_hash`` names (``Metainfo.info_hash``), or None."""
        return self._by_hash.get(info_hash)

    async def add(
        self,
        metainfo: Metainfo,
        path: Path,
        *,
        announce_url: str,
        have_all: bool = False,
        resume: bytes | None = None,
    ) -> Torrent:
        """Join the swarm of ``metainfo`` with the file at ``path``: the one way in.

        ``have_all``: the file is whole, verified by the caller; it is seeded without another look
        (a piece that proves wrong is found at its first request). ``resume``: from
        :meth:`Torrent.save_resume`; used if it was made in this boot for a file that holds
        anything.
        Otherwise a file that holds anything is hashed, and its good pieces are kept; one that does
        not exist is made, sparse and of its full size.

        Raises :class:`~swarm.errors.Conflict` if the torrent is there already, and
        :class:`~swarm.errors.StorageFailed` if libtorrent refuses it.
        """
        key = metainfo.info_hash
        if key in self._by_hash or key in self._added:
            raise Conflict(f"torrent {metainfo.name} is already in the engine")
        empty = not have_all and await asyncio.to_thread(_prepare_file, path, metainfo.size)
        params = self._parameters(metainfo, path, resume, empty=empty)
        params.trackers = [announce_url]
        if have_all:
            params.flags |= lt.torrent_flags.seed_mode
        added: asyncio.Future[Torrent] = asyncio.get_running_loop().create_future()
        self._added[key] = (metainfo, path, added)
        self._session.async_add_torrent(params)
        try:
            return await within(_START_SECONDS, asyncio.shield(added))
        finally:
            self._added.pop(key, None)

    def _is_added(self, alert: lt.add_torrent_alert) -> None:
        """Create the torrent in the very alert that reports it, before any alert about it."""
        asked = self._added.pop(_key(alert.params.info_hashes), None)
        if asked is None:  # the caller was cancelled meanwhile
            self._session.remove_torrent(alert.handle)
            return
        metainfo, path, added = asked
        if alert.error.value():
            text = f"{metainfo.name}: {alert.error.message()}"
            added.set_exception(StorageFailed(text, path=str(path)))
            return
        has_all = bool(alert.params.flags & lt.torrent_flags.seed_mode)
        torrent = Torrent(metainfo, path, alert.handle, self._remove, has_all=has_all)
        self._torrents[alert.handle] = torrent
        self._by_hash[metainfo.info_hash] = torrent
        for observer in self._observers:
            observer.joined(torrent)
        added.set_result(torrent)

    def _parameters(
        self, metainfo: Metainfo, path: Path, resume: bytes | None, *, empty: bool
    ) -> lt.add_torrent_params:
        params = lt.load_torrent_buffer(metainfo.data)
        if empty:
            # Claiming nothing spares hashing a file that is all hole.
            params.have_pieces = [False] * metainfo.piece_count
        elif resume is not None:
            claimed = resume_data.unpack(resume, metainfo.piece_count)
            if claimed is not None:
                params.have_pieces = claimed
        params.save_path = str(path.parent)
        # The absolute path, and not a name below save_path: a rename may leave that directory.
        params.renamed_files = {0: str(path)}
        params.flags |= lt.torrent_flags.update_subscribe
        params.flags |= lt.torrent_flags.duplicate_is_error
        # Queueing is ours: libtorrent would pause the sixth seed.
        params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
        return params

    async def _remove(self, torrent: Torrent) -> None:
        key = torrent.metainfo.info_hash
        if self._by_hash.get(key) is not torrent:
            return
        removed = self._removed[key] = asyncio.Event()
        self._torrents.pop(torrent.handle, None)
        for observer in self._observers:
            observer.left(torrent)
        self._session.remove_torrent(torrent.handle)
        try:
            await within(_STOP_SECONDS, removed.wait())
        except asyncio.TimeoutError:
            _LOG.warning("%s: libtorrent did not confirm its removal", torrent.metainfo.name)
        finally:
            del self._removed[key]
            self._by_hash.pop(key, None)
            torrent.gone()

    async def _ask_for_figures(self) -> None:
        while True:
            await asyncio.sleep(_FIGURES_SECONDS)
            if self._torrents:
                self._session.post_torrent_updates()

    def _hear(self, alert: lt.alert) -> None:
        match alert:
            case lt.add_torrent_alert():
                self._is_added(alert)
            case lt.tracker_error_alert():
                self._tracker_failed(alert)
            case lt.torrent_removed_alert():
                if (event := self._removed.get(_key(alert.info_hashes))) is not None:
                    event.set()
            case lt.torrent_alert():
                if (torrent := self._torrents.get(alert.handle)) is not None:
                    torrent.hear(alert)
                    if isinstance(alert, lt.torrent_finished_alert):
                        for observer in self._observers:
                            observer.finished(torrent)
            case _:
                self._hear_session(alert)

    def _see(self, statuses: Iterable[lt.torrent_status]) -> None:
        for status in statuses:
            if (torrent := self._torrents.get(status.handle)) is not None:
                torrent.see(status)
        wanting = (torrent for torrent in self._by_hash.values() if torrent.left)
        seconds = queue_seconds(max((t.progress().peers for t in wanting), default=0))
        if seconds != self._queue_seconds:
            self._queue_seconds = seconds
            self._session.apply_settings({"request_queue_time": seconds})

    def _hear_session(self, alert: lt.alert) -> None:
        match alert:
            case lt.state_update_alert():
                self._see(alert.status)
            case lt.listen_succeeded_alert():
                self._listens(alert.port)
            case lt.listen_failed_alert():
                self._cannot_listen(alert.error.message())
            case lt.alerts_dropped_alert():
                _LOG.error("libtorrent dropped alerts: the event loop is behind")

    def _listens(self, port: int) -> None:
        if self._listening is not None and not self._listening.done():
            self._listening.set_result(port)

    def _cannot_listen(self, reason: str) -> None:
        text = (
            f"can't listen on {self.settings.interface} for peers: {reason}; choose another "
            "[engine] listen_address or listen_port (--engine-address, --engine-port; port 0 takes "
            "a free one)"
        )
        if self._listening is not None and not self._listening.done():
            self._listening.set_exception(ConfigurationError(text))
        else:
            _LOG.error("%s", text)

    def _tracker_failed(self, alert: lt.tracker_error_alert) -> None:
        if alert.handle not in self._torrents:
            return  # it is leaving
        reason = alert.failure_reason() or alert.error.message()
        level = logging.WARNING if alert.times_in_row <= 1 else logging.DEBUG
        _LOG.log(level, "%s: the tracker did not take an announce: %s", alert.torrent_name, reason)
        pause = min(_REANNOUNCE_SECONDS * max(1, alert.times_in_row), _LONGEST_REANNOUNCE_SECONDS)
        alert.handle.force_reannounce(pause)


def _key(hashes: lt.info_hash_t) -> bytes:
    """Return what ``Metainfo.info_hash`` is of the same torrent."""
    return (hashes.v2 if hashes.has_v2() else hashes.v1).to_bytes()


def _prepare_file(path: Path, size: int) -> bool:
    """Make the file sparse and as long as it will be; tell whether it holds nothing yet.

    libtorrent rejects resume data, and claims of any kind, for a file of another length.
    """
    with translated(str(path)), path.open("ab") as file:
        file.truncate(size)
        return os.fstat(file.fileno()).st_blocks == 0
