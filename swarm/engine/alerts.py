"""libtorrent's alerts, delivered in the event loop.

libtorrent writes a byte to a pipe when its alert queue stops being empty; the loop wakes and drains
the queue. (Its other way, calling Python from the network thread, deadlocks with any call that
waits for that thread while holding the GIL.)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import libtorrent as lt


class AlertPump:
    """Calls ``deliver`` with each alert of ``session``, in the loop, until it is closed.

    An alert is valid only during that call: copy what is needed.
    """

    def __init__(self, session: lt.session, deliver: Callable[[lt.alert], None]) -> None:
        self._session = session
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        # Both ends non-blocking: a full pipe must not hold up the network thread.
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._loop.add_reader(self._read_end, self._drain)
        session.set_alert_fd(self._write_end)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._read_end, 1 << 16)
        # The queue is emptied here and now: libtorrent signals only when it stops being empty.
        for alert in self._session.pop_alerts():
            self._deliver(alert)

    def close(self) -> int:
        """Stop delivering.

        Returns the write end, to be closed by the caller once the session is gone: until then
        libtorrent may write to it.
        """
        self._loop.remove_reader(self._read_end)
        os.close(self._read_end)
        return self._write_end
