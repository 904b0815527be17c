"""The one place where a transfer changes: by the table, on the disk, then for all to see.

In this order, so that nobody was ever told of a state which a crash takes back.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from peer.transfers.states import Step, next_state
from peer.transfers.transfer import Transfer, now

if TYPE_CHECKING:
    from peer.transfers.store import Store
    from swarm.messages import Failure


class Ledger:
    """Writes down what becomes of transfers."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def advance(self, transfer: Transfer, **changes: Any) -> None:  # noqa: ANN401 - fields
        """Take the next step of the way; ``changes`` are fields of the record."""
        await self._step(transfer, Step.ADVANCE, **changes)

    async def recover(self, transfer: Transfer) -> None:
        """Put an interrupted transfer back into the queue."""
        await self._step(transfer, Step.RECOVER)

    async def fail(self, transfer: Transfer, failure: Failure) -> None:
        """End it as failed."""
        await self._step(transfer, Step.FAIL, failure=failure)

    async def cancel(self, transfer: Transfer) -> None:
        """End it as cancelled."""
        await self._step(transfer, Step.CANCEL)

    async def note(self, transfer: Transfer, **changes: Any) -> None:  # noqa: ANN401 - fields
        """Change fields of the record, not the state."""
        await self._write(transfer, **changes)

    async def _step(self, transfer: Transfer, step: Step, **changes: Any) -> None:  # noqa: ANN401
        await self._write(transfer, state=next_state(transfer.state, step), **changes)

    async def _write(self, transfer: Transfer, **changes: Any) -> None:  # noqa: ANN401 - fields
        record = dataclasses.replace(transfer.record, updated_at=now(), **changes)
        await self.store.save(record)
        transfer.show(record)
