"""The states of a transfer and the steps between them: data, and two questions about it.

::

       .------------+------------+------------+-----------. recover
       v            |            |            |           |
    queued -> preparing -> downloading -> verifying -> placing -> complete
       |            |            |            |           |
       '------------+------------+------------+-----------'-> failed, cancelled

``advance`` goes to the right. ``fail`` and ``cancel`` lead from each of the first five to the end.
``recover`` is what an agent that starts does to the transfers it was in the middle of: crash
recovery is the ordinary way, taken again, with the resume data of the time before. Bytes that come
from another file of this host arrive in ``downloading`` too.

This is not where a transfer is changed: that is ``ledger.py``.
"""

from __future__ import annotations

import enum
import itertools

from swarm.errors import IllegalTransition
from swarm.messages import TransferState


class Step(str, enum.Enum):
    """What happens to a transfer."""

    ADVANCE = "advance"
    FAIL = "fail"
    CANCEL = "cancel"
    RECOVER = "recover"


_WAY = (
    TransferState.QUEUED,
    TransferState.PREPARING,
    TransferState.DOWNLOADING,
    TransferState.VERIFYING,
    TransferState.PLACING,
    TransferState.COMPLETE,
)

#: The whole table; what it does not name is illegal.
TABLE: dict[tuple[TransferState, Step], TransferState] = {
    **{(here, Step.ADVANCE): there for here, there in itertools.pairwise(_WAY)},
    **{(here, Step.FAIL): TransferState.FAILED for here in _WAY[:-1]},
    **{(here, Step.CANCEL): TransferState.CANCELLED for here in _WAY[:-1]},
    **{(here, Step.RECOVER): TransferState.QUEUED for here in _WAY[1:-1]},
}

#: From these no step leads on.
FINAL = frozenset(TransferState) - {here for here, _ in TABLE}


def next_state(state: TransferState, step: Step) -> TransferState:
    """Return where ``step`` leads from ``state``; raises IllegalTransition."""
    try:
        return TABLE[state, step]
    except KeyError:
        raise IllegalTransition(
            f"a transfer that is {state.value} can't {step.value}", state=state.value
        ) from None


def check_step(before: TransferState, after: TransferState) -> None:
    """Raise IllegalTransition unless some step leads from ``before`` to ``after``."""
    if not any(here is before and there is after for (here, _), there in TABLE.items()):
        raise IllegalTransition(
            f"no step leads from {before.value} to {after.value}", state=before.value
        )
