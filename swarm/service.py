"""One role's process: event loop, log, signals.

Every role is a coroutine that gets an event and returns soon after it is set. SIGTERM and SIGINT
set it; a second SIGINT is left to Python, for the impatient.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable

Role = Callable[[asyncio.Event], Awaitable[None]]

_LOG = logging.getLogger(__name__)


def run(role: Role, *, log_level: str = "INFO") -> None:
    """Run ``role`` until it returns, or until it has shut down after SIGTERM or SIGINT."""
    logging.basicConfig(
        level=log_level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    try:
        import uvloop  # noqa: PLC0415 - optional: no wheel for every platform
    except ImportError:
        asyncio.run(_supervise(role))
    else:
        uvloop.run(_supervise(role))


async def _supervise(role: Role) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask_to_stop(number: int) -> None:
        _LOG.info("%s: shutting down", signal.Signals(number).name)
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop, number)
    await role(stop)
