"""What many runs come to."""

from __future__ import annotations

import pytest

from benchmarks.report.summary import Spread, groups, judge, middle, spread
from benchmarks.scenario import Target
from tests.unit.benchmarks.runs import failed, run


def test_repeats_are_one_contestant_in_one_case() -> None:
    """Cases, and contestants within them, in the order in which they came."""
    runs = [
        run(1.1, hosts=2),
        run(1.2, hosts=2),
        run(1.0, hosts=4),
        run(1.3, hosts=2, contestant="chain"),
    ]
    found = [(g.case["hosts"], g.contestant, len(g.runs)) for g in groups(runs)]
    assert found == [(2, "roles", 2), (2, "chain", 1), (4, "roles", 1)]


def test_what_failed_and_what_the_processor_held_back_does_not_count() -> None:
    """Each run is in one of three."""
    (group,) = groups([run(1.1), run(9.0, busy=0.91), failed("roles", "no"), run(1.3, busy=0.9)])
    assert spread(group.counted, "last") == Spread(1.1, pytest.approx(1.2), 1.3)
    assert [each.figures["last"] for each in group.cpu_bound] == [9.0]
    assert [each.failure for each in group.failed] == ["no"]


def test_a_figure_that_no_run_has_has_no_spread() -> None:
    """And one that some have is of those."""
    runs = [run(1.1), run(1.2, first_piece=3.0)]
    assert spread(runs, "first_piece") == Spread(3.0, 3.0, 3.0)
    assert spread(runs, "nothing") is None
    assert spread([], "last") is None


def test_the_middle_run_is_the_median_one() -> None:
    """Of an even number, the lower of two; of none, none."""
    assert middle([run(1.3), run(1.1), run(1.2)]) == run(1.2)
    assert middle([run(1.3), run(1.1)]) == run(1.1)
    assert middle([failed("roles", "no")]) is None


def test_spreads_that_touch_are_not_apart() -> None:
    """Either way round."""
    low, high = Spread(1, 1.1, 1.2), Spread(1.2, 1.3, 1.4)
    assert not low.is_apart_from(high)
    assert not high.is_apart_from(low)
    assert low.is_apart_from(Spread(1.3, 1.3, 1.3))
    assert Spread(1.3, 1.3, 1.3).is_apart_from(low)


def test_a_target_is_held_against_the_median_of_every_case_it_is_about() -> None:
    """The farthest of them decides; other contestants and runs that don't count don't matter."""
    runs = [
        run(1.01, hosts=2),
        *(run(last, hosts=4) for last in (1.02, 1.03, 1.5)),
        run(7.0, hosts=4, contestant="chain"),
        run(7.0, hosts=8, busy=1.0),
    ]
    target = Target("last", "last", at_most=1.03)
    (verdict,) = judge([target], runs)
    assert (verdict.case, verdict.measured, verdict.is_met) == (
        "4 hosts",
        Spread(1.02, 1.03, 1.5),
        True,
    )
    tighter = Target("last", "last", at_most=1.02)
    of_two = Target("last", "last", at_most=1.02, case={"hosts": 2})
    fast = Target("last", "last", at_least=1.02)
    assert [each.is_met for each in judge([tighter, of_two, fast], runs)] == [False, True, False]


def test_a_target_of_which_nothing_was_measured_is_not_known() -> None:
    """Neither met nor missed."""
    target = Target("last", "last", at_most=1.03, case={"hosts": 16})
    (verdict,) = judge([target], [run(1.0)])
    assert (verdict.measured, verdict.is_met) == (None, None)
