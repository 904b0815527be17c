"""The state table, and its drawing."""

from __future__ import annotations

import itertools
import re

import pytest

from peer.transfers import states
from peer.transfers.states import FINAL, TABLE, Step, check_step, next_state
from swarm.errors import IllegalTransition
from swarm.messages import TransferState as S


def drawn() -> dict[tuple[S, Step], S]:
    """Read the table out of the drawing."""
    lines = (states.__doc__ or "").splitlines()
    (way_at,) = (n for n, line in enumerate(lines) if "->" in line and "queued" in line)
    places = {
        S(word.group()): range(word.start(), word.end())
        for word in re.finditer(r"[a-z]+", lines[way_at])
    }
    order = list(places)
    table = {(here, Step.ADVANCE): there for here, there in itertools.pairwise(order)}

    def on(line: str, mark: str) -> set[S]:
        columns = [match.start() for match in re.finditer(re.escape(mark), line)]
        return {state for state, place in places.items() if any(c in place for c in columns)}

    above, below = lines[way_at - 1], lines[way_at + 1]
    (back,) = on(above, "v")
    assert "recover" in lines[way_at - 2]
    table |= {(state, Step.RECOVER): back for state in on(above, "|")}
    ends = re.findall(r"failed|cancelled", lines[way_at + 2])
    assert ends == ["failed", "cancelled"]
    table |= {(state, Step.FAIL): S.FAILED for state in on(below, "|")}
    table |= {(state, Step.CANCEL): S.CANCELLED for state in on(below, "|")}
    return table


def test_the_drawing_is_the_table() -> None:
    """What the docstring shows and what the code does are one."""
    assert drawn() == TABLE


def test_the_final_states_are_those_that_nothing_leaves() -> None:
    """Complete, failed and cancelled."""
    assert {S.COMPLETE, S.FAILED, S.CANCELLED} == FINAL


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("step", Step)
def test_a_step_leads_on_or_raises(state: S, step: Step) -> None:
    """Each pair of state and step is in the table or is refused; there is no third."""
    if (state, step) in TABLE:
        assert next_state(state, step) is TABLE[state, step]
        check_step(state, next_state(state, step))
    else:
        with pytest.raises(IllegalTransition):
            next_state(state, step)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (S.QUEUED, S.DOWNLOADING),
        (S.COMPLETE, S.QUEUED),
        (S.FAILED, S.QUEUED),
        (S.QUEUED, S.QUEUED),
        (S.DOWNLOADING, S.PREPARING),
    ],
)
def test_a_jump_is_illegal(before: S, after: S) -> None:
    """No step skips a state, leaves a final one, or goes back but by recovery."""
    with pytest.raises(IllegalTransition):
        check_step(before, after)
