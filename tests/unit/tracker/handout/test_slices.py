"""The slices of a rack: who fetches which pieces first, as nodes come and go."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tracker.handout.slices import Deal, Slice

#: A node joins, or one of those present leaves: which, as a number to be taken modulo.
step = st.tuples(st.booleans(), st.integers(0, 1000))
#: Hypothesis draws short lists unless told otherwise.
steps = st.lists(step, max_size=12) | st.lists(step, min_size=60, max_size=200)


def name(number: int) -> bytes:
    """Return the endpoint of a node."""
    return b"%06d" % number


class Rack:
    """A deal, and the slices that its nodes know of from what they were told."""

    def __init__(self) -> None:
        self.deal = Deal()
        self.told: dict[bytes, Slice] = {}
        self._joined = 0

    def join(self) -> dict[bytes, Slice]:
        """Let a newcomer in; returns the changes of the others."""
        self._joined += 1
        newcomer = name(self._joined)
        changes = self.deal.join(newcomer)
        assert newcomer in changes
        self.told.update(changes)
        return {node: now for node, now in changes.items() if node != newcomer}

    def leave(self, number: int) -> dict[bytes, Slice]:
        """Let one leave; returns the changes of the others."""
        leaver = sorted(self.told)[number % len(self.told)]
        del self.told[leaver]
        changes = self.deal.leave(leaver)
        assert set(changes) <= set(self.told)
        self.told.update(changes)
        return changes

    def step(self, joins: bool, number: int) -> dict[bytes, Slice]:  # noqa: FBT001 - drawn
        """Do as drawn; an empty rack is joined."""
        return self.join() if joins or not self.told else self.leave(number)

    @property
    def covered(self) -> Fraction:
        """How much of the pieces is somebody's."""
        return sum((Fraction(1, each.n) for each in self.told.values()), Fraction(0))


def overlap(one: Slice, other: Slice) -> bool:
    """Return whether a piece is in both: as each n is a power of two, one divides the other."""
    n = min(one.n, other.n)
    return one.k % n == other.k % n


@given(st.integers(1, 200))
def test_while_nobody_leaves_each_piece_is_in_one_slice(nodes: int) -> None:
    """And the slices differ in size by a factor of two at most."""
    rack = Rack()
    for _ in range(nodes):
        assert len(rack.join()) <= 1, "one other's slice at most is changed"
    slices = rack.told.values()
    for piece in range(300):
        assert sum(each.covers(piece) for each in slices) == 1
    assert rack.covered == 1
    assert max(each.n for each in slices) <= 2 * min(each.n for each in slices)


@given(steps)
def test_slices_never_overlap_whatever_happens(sequence: list[tuple[bool, int]]) -> None:
    """They stay in balance too, and at least half of the pieces is somebody's."""
    rack = Rack()
    for joins, number in sequence:
        rack.step(joins, number)
        slices = list(rack.told.values())
        assert all(rack.deal.slice_of(node) == now for node, now in rack.told.items())
        assert len(rack.deal) == len(slices)
        assert all(each.n & (each.n - 1) == 0 and 0 <= each.k < each.n for each in slices)
        pairs = [(a, b) for i, a in enumerate(slices) for b in slices[:i]]
        assert not any(overlap(a, b) for a, b in pairs)
        if slices:
            assert max(each.n for each in slices) <= 2 * min(each.n for each in slices)
            assert rack.covered >= Fraction(1, 2)


@given(steps)
def test_who_comes_or_goes_disturbs_at_most_one_other(sequence: list[tuple[bool, int]]) -> None:
    """But for the leaver by whom more than half of the pieces would be nobody's."""
    rack = Rack()
    for joins, number in sequence:
        covered, present = rack.covered, set(rack.told)
        changes = rack.step(joins, number)
        if len(rack.told) > len(present):
            # A free slice is taken, or else the largest split.
            assert len(changes) == int(bool(present) and covered == 1)
        elif changes:
            assert rack.covered == 1, "all was dealt anew"


@given(st.integers(2, 100), st.randoms(use_true_random=False))
def test_a_newcomer_takes_what_a_leaver_left(nodes: int, source: random.Random) -> None:
    """As it was; nobody else hears of either."""
    rack = Rack()
    for _ in range(nodes):
        rack.join()
    leaver = source.choice(sorted(rack.told))
    left = rack.told[leaver]
    assert rack.leave(sorted(rack.told).index(leaver)) == {}
    assert rack.join() == {}
    assert left in rack.told.values()


@given(st.integers(1, 150))
def test_everybody_has_been_dealt_anew_when_the_swarm_has_doubled(nodes: int) -> None:
    """So that the first ones do not keep large slices."""
    rack = Rack()
    for _ in range(nodes):
        rack.join()
    before = dict(rack.told)
    for _ in range(nodes):
        rack.join()
    assert all(rack.told[node] != was for node, was in before.items())
    assert all(rack.told[node].n > was.n for node, was in before.items())


@given(steps)
def test_a_deal_follows_from_what_happened(sequence: list[tuple[bool, int]]) -> None:
    """Two replicas that see the same deal the same."""
    one, other = Rack(), Rack()
    for joins, number in sequence:
        assert one.step(joins, number) == other.step(joins, number)
    assert one.told == other.told


def test_a_slice_is_a_stripe() -> None:
    """Every n-th piece from the k-th."""
    assert [piece for piece in range(20) if Slice(3, 8).covers(piece)] == [3, 11, 19]


def test_who_is_there_keeps_its_slice_and_who_is_not_has_none() -> None:
    """Joining twice or leaving twice changes nothing."""
    deal = Deal()
    assert deal.leave(b"a") == {}
    assert deal.slice_of(b"a") is None
    assert deal.join(b"a") == {b"a": Slice(0, 1)} == deal.join(b"a")
    assert deal.join(b"b") == {b"a": Slice(0, 2), b"b": Slice(1, 2)}
    assert deal.join(b"b") == {b"b": Slice(1, 2)}
    assert deal.leave(b"b") == {} == deal.leave(b"b")
    assert (b"a" in deal, b"b" in deal, len(deal)) == (True, False, 1)
    assert deal.leave(b"a") == {}
    assert deal.join(b"c") == {b"c": Slice(0, 1)}, "a rack that was empty begins anew"


def test_ten_thousand_come_and_go_in_one_rack() -> None:
    """The changes that it takes stay few, and so does what is remembered."""
    source, rack = random.Random(5), Rack()
    changes = sum(len(rack.join()) for _ in range(10_000))
    assert changes == 9_999
    deal, present = rack.deal, sorted(rack.told)
    source.shuffle(present)
    changes, sizes = 0, [len(present)]
    while present:
        dealt = len(deal.leave(present.pop()))
        changes += dealt
        if dealt:
            sizes.append(len(present))
    assert changes < 2 * 10_000
    assert all(after < 0.7 * before for before, after in pairwise(sizes)), "only when it halves"
    for number in range(5_000):
        deal.join(name(number % 50))
        deal.leave(name((number + 25) % 50))
    assert len(deal._heap) <= 2 * len(deal) + 17
