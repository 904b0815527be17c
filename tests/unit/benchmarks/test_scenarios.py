"""What every scenario says of itself, and what it refuses before anything is made."""

from __future__ import annotations

import pytest

from benchmarks.scenario import Options, Run, Target
from benchmarks.scenarios import boot_storm
from benchmarks.scenarios.table import SCENARIOS
from swarm.errors import ConfigurationError


def test_others_are_not_asked_for_what_only_our_roles_have() -> None:
    """It is said before anything is made."""
    options = Options(contestants=("chain",))
    with pytest.raises(ConfigurationError, match="only our roles"):
        boot_storm.measure(options)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_says_what_it_asks(name: str) -> None:
    """Its docstring begins with the question, and its targets are about its own contestants."""
    scenario = SCENARIOS[name]
    assert (scenario.__doc__ or "").strip().partition("\n")[0].endswith("?")
    assert all(target.contestant in scenario.DEFAULTS.contestants for target in scenario.TARGETS)
    assert all((target.at_most is None) != (target.at_least is None) for target in scenario.TARGETS)


def test_a_target_is_held_against_runs_of_its_case() -> None:
    """What it does not name may be anything; a bound itself is met."""
    target = Target("last host", "last", at_most=1.03, case={"hosts": 8})
    assert target.is_about(Run("roles", {"hosts": 8, "racks": 2}, {}, 0.5))
    assert not target.is_about(Run("roles", {"hosts": 4}, {}, 0.5))
    assert not target.is_about(Run("chain", {"hosts": 8}, {}, 0.5))
    assert target.is_met(1.03)
    assert not target.is_met(1.04)
    assert Target("MB/s", "rate", at_least=400).is_met(400)
    assert not Target("MB/s", "rate", at_least=400).is_met(399)


def test_a_busy_machine_is_no_doubt_where_the_processor_is_asked_for() -> None:
    """Elsewhere such a run does not count."""
    assert Run("roles", {}, {}, 0.95).is_cpu_bound
    assert not Run("roles", {}, {}, 0.95, is_about_cpu=True).is_cpu_bound
