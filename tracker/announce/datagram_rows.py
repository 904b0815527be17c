"""Datagrams by the row: one system call for many, and no address turned into an object.

What a Python program spends on a datagram is mostly the call and the address: a tuple with a string
that is parsed again a moment later. So here the kernel fills a row of buffers (recvmmsg) and sends
a row of them (sendmmsg). And a node announces many torrents at once: answers of one length to one
receiver, one after the other, go through the kernel as one piece that it cuts up at the end
(UDP_SEGMENT, since Linux 4.18).

The layouts are those of a 64-bit Linux (<bits/socket.h>, <bits/types/struct_iovec.h>,
<linux/udp.h>).
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys
from typing import TYPE_CHECKING

from tracker.announce.datagrams import ADDRESS, BATCH, INTERFACE, SOCKADDR_BYTES, prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.announce.datagrams import Datagram

_LIBC = ctypes.CDLL(None, use_errno=True)

#: A struct iovec: where, and how long.
_IOVEC = struct.Struct("=QQ")
#: A struct mmsghdr: name, its length, iovecs, how many, control messages, their size; then what the
#: kernel tells of flags, and the length of what it received.
_MESSAGE = struct.Struct("=QI4xQQQQI4xI4x")
#: Room for an address, and behind it for control messages.
_NAME_BYTES = 32
_CONTROL_BYTES = 64
_ENVELOPE_BYTES = _NAME_BYTES + _CONTROL_BYTES
#: Of a control message, before its data.
_CONTROL_HEAD_BYTES = 16
#: The control message that says how long each of the pieces is.
_SEGMENT = struct.Struct("=QiiH6x")
_SOL_UDP, _UDP_SEGMENT = 17, 103
_SEGMENT_LENGTH = _CONTROL_HEAD_BYTES + 2
#: What goes through the kernel as one is no longer than a datagram can be.
_MOST_RUN_BYTES = 60_000

#: Errors after which the next datagram would fare no better.
_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})


class _Row:
    """Buffers for BATCH datagrams, with the structures that tell the kernel where they are.

    ``data`` and ``envelopes`` are flat, with a stride for each datagram. An envelope is an address,
    and behind it control messages.
    """

    def __init__(self, slot_bytes: int) -> None:
        self.slot_bytes = slot_bytes
        self.data = memoryview(bytearray(BATCH * slot_bytes))
        self.envelopes = memoryview(bytearray(BATCH * _ENVELOPE_BYTES))
        self._iovecs = memoryview(bytearray(BATCH * _IOVEC.size))
        self._messages = memoryview(bytearray(BATCH * _MESSAGE.size))
        self._envelopes_at = _where(self.envelopes)
        self._iovecs_at = _where(self._iovecs)
        self.messages_at = _where(self._messages)
        data_at = _where(self.data)
        for i in range(BATCH):
            where = data_at + i * slot_bytes
            _IOVEC.pack_into(self._iovecs, i * _IOVEC.size, where, slot_bytes)
        #: How long the data of each slot are, by its iovec.
        self.lengths = self._iovecs.cast("Q")[1::2]
        #: How long each datagram is that was received.
        self.received = self._messages.cast("I")[14::16]
        #: The size of the control messages of each message.
        self.controls = self._messages.cast("Q")[5::8]

    def address(self, message: int, slot: int, count: int, name_bytes: int, control: int) -> None:
        """Have a message take ``count`` slots from ``slot`` on, and the envelope of its number."""
        envelope_at = self._envelopes_at + message * _ENVELOPE_BYTES
        _MESSAGE.pack_into(
            self._messages,
            message * _MESSAGE.size,
            envelope_at,
            name_bytes,
            self._iovecs_at + slot * _IOVEC.size,
            count,
            envelope_at + _NAME_BYTES if control else 0,
            control,
            0,
            0,
        )


def _where(buffer: memoryview) -> int:
    """Return the address of a buffer."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


class RowSocket:
    """Datagrams by the row, by recvmmsg and sendmmsg."""

    is_possible = (
        sys.platform == "linux"
        and ctypes.sizeof(ctypes.c_void_p) == 8  # noqa: PLR2004 - the layouts above
        and hasattr(_LIBC, "recvmmsg")
        and hasattr(_LIBC, "sendmmsg")
    )

    def __init__(self, sock: socket.socket, *, most_bytes: int) -> None:
        self._socket = sock
        self._descriptor = sock.fileno()
        family = socket.AddressFamily(sock.family)
        self._name_bytes = SOCKADDR_BYTES[family]
        self._address = ADDRESS[family]
        start = _NAME_BYTES + _CONTROL_HEAD_BYTES
        self._interface = slice(start + INTERFACE[family].start, start + INTERFACE[family].stop)
        self._is_wildcard = prepare(sock)
        self._cuts = _can_cut(sock)
        self._in, self._out = _Row(most_bytes), _Row(most_bytes)
        self._control_bytes = _CONTROL_BYTES if self._is_wildcard else 0
        for i in range(BATCH):
            self._in.address(i, i, 1, self._name_bytes, self._control_bytes)

    def receive(self) -> list[Datagram]:
        """Return up to BATCH datagrams that are there."""
        row, size = self._in, self._in.slot_bytes
        count: int = _LIBC.recvmmsg(
            self._descriptor, ctypes.c_void_p(row.messages_at), BATCH, socket.MSG_DONTWAIT, None
        )
        if count <= 0:
            return []  # nothing there; or an error of a former answer, which is over with this
        data, envelopes = row.data, bytes(row.envelopes[: count * _ENVELOPE_BYTES])
        found, address, end = [], self._address, self._name_bytes
        for i, length in enumerate(row.received[:count].tolist()):
            if self._is_wildcard:
                end = _NAME_BYTES + row.controls[i]
                row.controls[i] = self._control_bytes  # for the next time
            start = i * _ENVELOPE_BYTES
            reply_to = envelopes[start : start + end]
            start = i * size
            found.append((data[start : start + length].tobytes(), reply_to[address], reply_to))
        return found

    def send(self, answers: Sequence[tuple[bytes, bytes]]) -> int:
        """Send them in as few calls as there are ways to go."""
        data, lengths, slot_bytes = self._out.data, self._out.lengths, self._out.slot_bytes
        starts: list[int] = []
        receiver, length, run_bytes = b"", -1, 0
        for i, (answer, reply_to) in enumerate(answers):
            size, at = len(answer), i * slot_bytes
            data[at : at + size] = answer
            lengths[i] = size
            run_bytes += size
            is_next = size == length and reply_to == receiver and run_bytes <= _MOST_RUN_BYTES
            if not is_next or not size or not self._cuts:
                starts.append(i)
                receiver, length, run_bytes = reply_to, size, size
        starts.append(len(answers))
        for message, start in enumerate(starts[:-1]):
            answer, reply_to = answers[start]
            self._fill(message, start, starts[message + 1] - start, len(answer), reply_to)
        return self._send(starts, answers)

    def _fill(self, message: int, slot: int, count: int, size: int, reply_to: bytes) -> None:
        """Address a message of ``count`` answers of one size."""
        start = message * _ENVELOPE_BYTES
        envelopes = self._out.envelopes
        envelopes[start : start + len(reply_to)] = reply_to
        control = 0
        if self._is_wildcard:
            interface = self._interface  # is left to the kernel's routes
            envelopes[start + interface.start : start + interface.stop] = bytes(4)
            control = len(reply_to) - _NAME_BYTES
        if count > 1:
            where = start + _NAME_BYTES + control
            _SEGMENT.pack_into(envelopes, where, _SEGMENT_LENGTH, _SOL_UDP, _UDP_SEGMENT, size)
            control += _SEGMENT.size
        self._out.address(message, slot, count, self._name_bytes, control)

    def _send(self, starts: list[int], answers: Sequence[tuple[bytes, bytes]]) -> int:
        """Send the messages whose first slots are ``starts`` but for the last; count answers."""
        done, sent, messages = 0, 0, len(starts) - 1
        while done < messages:
            taken = self._call(done, messages - done)
            if taken > 0:
                sent += starts[done + taken] - starts[done]
                done += taken
            elif ctypes.get_errno() in _FULL:
                break
            elif ctypes.get_errno() != errno.EINTR:
                sent += self._send_apart(starts[done], starts[done + 1], answers)
                done += 1
        return sent

    def _send_apart(self, start: int, stop: int, answers: Sequence[tuple[bytes, bytes]]) -> int:
        """Send answers that could not go as one; what fails alone has no way to go."""
        if stop - start == 1:
            return 0
        sent = 0
        for slot in range(start, stop):
            answer, reply_to = answers[slot]
            self._fill(0, slot, 1, len(answer), reply_to)  # the first one has gone, or is this
            sent += max(self._call(0, 1), 0)
        return sent

    def _call(self, first: int, count: int) -> int:
        at = ctypes.c_void_p(self._out.messages_at + first * _MESSAGE.size)
        taken: int = _LIBC.sendmmsg(self._descriptor, at, count, socket.MSG_DONTWAIT)
        return taken

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._descriptor

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def _can_cut(sock: socket.socket) -> bool:
    try:
        sock.setsockopt(_SOL_UDP, _UDP_SEGMENT, 0)
    except OSError:
        return False
    return True
