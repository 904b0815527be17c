"""Every handout policy: its quotas, whatever there is to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker import options
from tracker.handout.policy import Kinds
from tracker.handout.rack_aware import RackAware
from tracker.handout.table import POLICIES

if TYPE_CHECKING:
    from tracker.handout.policy import Policy

sizes = st.integers(0, 3) | st.integers(0, 200) | st.integers(0, 20_000)
counts = st.integers(0, 3) | st.integers(0, 200)
fractions = st.floats(0, 1, exclude_max=True)
policies = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Kinds, bool]:
    """Draw how many others there are, and whether the asker is complete."""
    others = Kinds(*(draw(sizes) for _ in Kinds._fields))
    is_complete = draw(st.booleans())
    return (
        others._replace(near_complete=0, far_complete=0) if is_complete else others
    ), is_complete


def as_seen_by(policy: Policy, others: Kinds) -> Kinds:
    """Return ``others`` as a store tells of them: everybody is far if nobody asks for groups."""
    if policy.uses_groups:
        return others
    near_complete, near_incomplete, far_complete, far_incomplete = others
    return Kinds(0, 0, near_complete + far_complete, near_incomplete + far_incomplete)


@policies
@given(situations(), counts, fractions)
def test_quotas_can_be_met_and_fill_the_handout(
    policy: Policy, situation: tuple[Kinds, bool], count: int, fraction: float
) -> None:
    """Never more of a kind than there are, and together the count, or as many as there are."""
    others = as_seen_by(policy, situation[0])
    quotas = policy.quotas(others, count=count, is_complete=situation[1], fraction=fraction)
    assert all(0 <= quota <= there for quota, there in zip(quotas, others, strict=True))
    assert sum(quotas) == min(count, sum(others))


@given(situations(), counts, fractions)
def test_rack_aware_is_uniform_where_no_racks_are_known(
    situation: tuple[Kinds, bool], count: int, fraction: float
) -> None:
    """To the last peer."""
    others, is_complete = situation
    others = others._replace(near_complete=0, near_incomplete=0)
    rack_aware, uniform = (
        POLICIES[name].quotas(others, count=count, is_complete=is_complete, fraction=fraction)
        for name in ("rack_aware", "uniform")
    )
    assert rack_aware == uniform


@given(situations(), st.integers(2, 200), fractions, st.integers(0, 60))
def test_a_rack_is_never_all_that_a_node_hears_of(
    situation: tuple[Kinds, bool], count: int, fraction: float, remote: int
) -> None:
    """One remote peer at least; more than the quota only in places that near ones can't fill."""
    others, is_complete = situation
    policy = RackAware(remote=remote)
    quotas = policy.quotas(others, count=count, is_complete=is_complete, fraction=fraction)
    far, near = sum(quotas[2:]), sum(quotas[:2])
    there = sum(others[2:])
    assert far >= min(1, there)
    assert far >= min(there, count * min(remote, 50) // 50)
    assert near == sum(others[:2]) or far <= max(1, count * remote // 50)


@pytest.mark.parametrize(
    ("count", "far"), [(0, 0), (1, 0), (2, 1), (24, 1), (25, 2), (50, 4), (100, 8)]
)
def test_four_of_fifty_are_remote(count: int, far: int) -> None:
    """Of a full handout, in a large swarm; the only one is near."""
    quotas = RackAware().quotas(
        Kinds(500, 500, 5000, 5000), count=count, is_complete=False, fraction=0.5
    )
    assert (sum(quotas[:2]), sum(quotas[2:])) == (count - far, far)


def test_complete_and_incomplete_near_ones_come_in_proportion() -> None:
    """On average exactly: a share of 11.5 is rounded up as often as down."""
    others = Kinds(20, 60, 1000, 3000)
    handouts = [
        RackAware().quotas(others, count=50, is_complete=False, fraction=n / 100)
        for n in range(100)
    ]
    assert {tuple(quotas) for quotas in handouts} == {(11, 35, 1, 3), (12, 34, 1, 3)}
    assert sum(quotas.near_complete for quotas in handouts) == 1150


def test_completeness_hands_out_complete_ones_first() -> None:
    """Incomplete ones only where there are not enough."""
    policy = POLICIES["completeness"]

    def quotas(complete: int, incomplete: int) -> Kinds:
        others = Kinds(0, 0, complete, incomplete)
        return policy.quotas(others, count=10, is_complete=False, fraction=0.9)

    assert quotas(50, 50) == Kinds(0, 0, 10, 0)
    assert quotas(3, 50) == Kinds(0, 0, 3, 7)
    assert quotas(3, 2) == Kinds(0, 0, 3, 2)
    lacking = policy.quotas(Kinds(0, 0, 0, 50), count=10, is_complete=True, fraction=0)
    assert lacking == Kinds(0, 0, 0, 10)


def test_the_option_names_every_policy() -> None:
    """What can be configured is what there is; the default is one of them."""
    (option,) = [each for each in options.TRACKER_OPTS if each.name == "handout"]
    assert set(option.type.choices) == set(POLICIES)
    assert option.default in POLICIES
