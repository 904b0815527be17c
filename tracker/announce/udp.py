"""Announces over UDP: the sockets, and the way of a row of datagrams.

It is short, as tens of thousands come in a second: a row from ``datagram_rows.py``, each through
``udp_answers.py``, and the answers back in a row. One row is taken in a turn of the event loop, so
that whatever floods this port takes its turns with the API and the control channels.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING

from tracker.announce import udp_codec as codec
from tracker.announce.datagram_rows import RowSocket
from tracker.announce.datagrams import BATCH, PlainSocket
from tracker.swarms.peer import COMPACT_IPV4_BYTES, COMPACT_IPV6_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tracker.announce.datagrams import Datagram, DatagramSocket
    from tracker.announce.udp_answers import AnnounceUdp, Request

_LOG = logging.getLogger(__name__)

#: Announces that wait for a shared store at one moment; those beyond are dropped, and come again.
MOST_WAITING = 1000


def _nothing_now(data: bytes, address: bytes) -> None:
    """Stand for :meth:`AnnounceUdp.renew_now` where every answer has to be waited for."""
    del data, address


class UdpPort:
    """One socket, read whenever there is something."""

    def __init__(
        self,
        announces: AnnounceUdp,
        datagrams: DatagramSocket,
        *,
        is_ipv4: bool,
        most_waiting: int,
    ) -> None:
        self._announces = announces
        self._datagrams = datagrams
        self._most_waiting = most_waiting
        self._renew_now = announces.renew_now if announces.is_immediate else _nothing_now
        self._counters = announces.counters
        self._traffic = self._counters.udp.ipv4 if is_ipv4 else self._counters.udp.ipv6
        self._endpoint_bytes = COMPACT_IPV4_BYTES if is_ipv4 else COMPACT_IPV6_BYTES
        self._waiting: set[asyncio.Task[None]] = set()
        self._answers: list[tuple[bytes, bytes]] = []
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(datagrams.fileno(), self._take_row)

    async def close(self) -> None:
        """Stop reading, and end what still waits."""
        self._loop.remove_reader(self._datagrams.fileno())
        waiting = list(self._waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        self._datagrams.close()

    def _take_row(self) -> None:
        """Take one row of datagrams; what is left has the loop call again, in its next turn."""
        renew_now, answers, others = self._renew_now, [], []
        datagrams = self._datagrams.receive()
        for datagram in datagrams:
            data, address, reply_to = datagram
            try:
                answer = renew_now(data, address)
                if answer is not None:
                    answers.append((answer, reply_to))
                    continue
                answer = self._answer(datagram)
            except Exception:  # noqa: BLE001 - the last line of defence
                _LOG.exception("a datagram of %d bytes could not be answered", len(data))
                continue
            if answer is not None:
                others.append((answer, reply_to))
        self._count(datagrams, answers)
        self._send(answers + others)

    def _count(self, datagrams: list[Datagram], answers: list[tuple[bytes, bytes]]) -> None:
        """Count what came, and what was answered in short, which is counted nowhere else."""
        self._traffic.rx_bytes += sum([len(datagram[0]) for datagram in datagrams])
        self._traffic.announces += len(answers)
        self._counters.handouts += len(answers)
        listed = sum([len(answer) for answer, _ in answers]) - codec.FOUND_BYTES * len(answers)
        self._counters.handed_out_peers += listed // self._endpoint_bytes

    def _answer(self, datagram: Datagram) -> bytes | None:
        """Return the answer; None for none, or if it comes later."""
        data, address, _ = datagram
        request = self._announces.understand(data, address)
        if request is None or isinstance(request, bytes):
            return request
        if self._announces.is_immediate:
            return self._announces.answer_now(request, address)
        self._answer_later(request, datagram)
        return None

    def _send(self, answers: Sequence[tuple[bytes, bytes]]) -> None:
        if answers:
            sent = self._datagrams.send(answers)
            self._traffic.tx_bytes += sum([len(answer) for answer, _ in answers])
            if sent < len(answers):
                self._counters.udp.failures["overload"] += len(answers) - sent

    def _answer_later(self, request: Request, datagram: Datagram) -> None:
        if len(self._waiting) >= self._most_waiting:
            self._counters.udp.failures["overload"] += 1
            return
        task = self._loop.create_task(self._wait_for(request, datagram))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _wait_for(self, request: Request, datagram: Datagram) -> None:
        data, address, reply_to = datagram
        try:
            answer = await self._announces.answer(request, address)
        except Exception:  # noqa: BLE001 - the last line of defence
            _LOG.exception("a datagram of %d bytes could not be answered", len(data))
            return
        if not self._answers:
            self._loop.call_soon(self._flush)
        self._answers.append((answer, reply_to))

    def _flush(self) -> None:
        """Send what became ready in one turn of the loop."""
        answers, self._answers = self._answers, []
        for start in range(0, len(answers), BATCH):
            self._send(answers[start : start + BATCH])


@contextlib.asynccontextmanager
async def serving(
    announces: AnnounceUdp, sockets: Sequence[socket.socket], *, most_waiting: int = MOST_WAITING
) -> AsyncIterator[None]:
    """Answer what comes to ``sockets`` (bound, and closed at the end) while the block runs."""
    async with contextlib.AsyncExitStack() as stack:
        kind = RowSocket if RowSocket.is_possible else PlainSocket
        for sock in sockets:
            datagrams = kind(sock, most_bytes=codec.MOST_BYTES)
            is_ipv4 = sock.family == socket.AF_INET
            port = UdpPort(announces, datagrams, is_ipv4=is_ipv4, most_waiting=most_waiting)
            stack.push_async_callback(port.close)
        yield
