"""The periodic sweep: frees the memory of peers that left without a word."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracker.swarms.memory import MemorySwarms

_LOG = logging.getLogger(__name__)


async def sweep_for_ever(swarms: MemorySwarms, *, every_seconds: float) -> None:
    """Sweep ``swarms`` every so often; runs until cancelled by who started it."""
    while True:
        await asyncio.sleep(every_seconds)
        dropped = swarms.sweep()
        if dropped:
            _LOG.info("%d peers had not announced for too long and were dropped", dropped)
