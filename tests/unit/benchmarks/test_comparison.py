"""Two reports side by side."""

from __future__ import annotations

import pytest

from benchmarks.report.comparison import compare, comparison
from swarm.errors import ConfigurationError
from tests.unit.benchmarks.runs import report, run


def test_a_figure_is_compared_with_itself() -> None:
    """Of the same contestant in the same case; what only one report has is left out."""
    before = report(run(1.0), run(2.0, hosts=2), run(1.0, contestant="chain"))
    after = report(run(1.5, more=7.0), run(3.0, hosts=8), run(1.0, contestant="chain"))
    found = {
        (change.group.contestant, change.figure): change.ratio for change in compare(before, after)
    }
    assert found == {
        ("roles", "last"): 1.5,
        ("roles", "median"): pytest.approx(1.5),
        ("chain", "last"): 1.0,
        ("chain", "median"): 1.0,
    }


def test_only_spreads_that_do_not_overlap_are_flagged() -> None:
    """By the runs that count: one that the processor held back makes no spread wider."""
    before = report(run(1.0), run(1.2), run(5.0, busy=1.0))
    near = report(run(1.2), run(1.4))
    far = report(run(1.3), run(1.4))
    assert not any(change.is_apart for change in compare(before, near) if change.figure == "last")
    assert all(change.is_apart for change in compare(before, far))
    assert "| apart |" in comparison(before, far)
    assert "| apart |" not in comparison(before, near)


def test_nothing_by_nothing_has_no_ratio() -> None:
    """A figure may be nought."""
    before, after = report(run(1.0, back=0.0)), report(run(1.0, back=0.2))
    (change,) = [each for each in compare(before, after) if each.figure == "back"]
    assert change.ratio is None
    assert "| back | 0 / 0 / 0 | 0.2 / 0.2 / 0.2 | - | apart |" in comparison(before, after)


def test_what_else_differs_is_said() -> None:
    """Another commit, another rate: the figures may differ for that."""
    before, after = report(run(1.0)), report(run(1.0))
    after.machine["commit"] = "f" * 40
    after.options["rate"] = 50_000_000
    text = comparison(before, after)
    assert "- commit: 0123456789ab -> ffffffffffff\n" in text
    assert "- rate: 32000000 -> 50000000\n" in text
    assert "kernel" not in text


def test_different_questions_are_not_compared() -> None:
    """There is nothing to say."""
    other = report(run(1.0))
    other.scenario = "slow-host"
    with pytest.raises(ConfigurationError, match="flash-crowd and of slow-host"):
        compare(report(run(1.0)), other)
