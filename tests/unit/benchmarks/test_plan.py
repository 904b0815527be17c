"""A lab's plan: racks, addresses and rates, decided before anything is made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.lab.plan import Shape, plan
from swarm.errors import ConfigurationError


@given(st.integers(1, 200), st.integers(1, 200))
def test_everybody_has_an_address_and_a_rack_of_its_own_lab(hosts: int, racks: int) -> None:
    """No two share an address or a name; each rack's hosts are in its network, and there are some.

    Evenly filled rows leave the last rack short, or even empty, as ten hosts in seven racks do.
    """
    racks = min(hosts, racks)
    made = plan(Shape(hosts, racks))
    everybody = made.everybody
    assert len(made.hosts) == hosts
    assert len({host.address for host in everybody}) == len({h.name for h in everybody})
    assert len({host.name for host in everybody}) == hosts + 2
    assert all(host.address.split(".")[2] == host.rack[1:] for host in everybody)
    assert {host.rack for host in everybody} <= set(made.racks)


def test_hosts_are_dealt_to_racks_in_rows() -> None:
    """Eight in two racks are four and four; source and tracker stand in the first."""
    made = plan(Shape(8, 2))
    assert [host.rack for host in made.hosts] == ["r1"] * 4 + ["r2"] * 4
    assert (made.source.rack, made.tracker.rack) == ("r1", "r1")


def test_a_host_can_have_a_rate_of_its_own() -> None:
    """The others, the source included, have the lab's."""
    made = plan(Shape(3, rate=50, rates={2: 5}))
    assert [host.rate for host in made.everybody] == [50, 50, 50, 5, 50]


@pytest.mark.parametrize(
    ("shape", "option"),
    [
        ({"hosts": 0}, "--hosts"),
        ({"hosts": 201}, "--hosts"),
        ({"hosts": 2, "racks": 3}, "--racks"),
        ({"hosts": 2, "racks": 0}, "--racks"),
        ({"hosts": 2, "rate": -1}, "--rate"),
        ({"hosts": 2, "rates": {1: -1}}, "--rate"),
    ],
)
def test_what_is_no_lab_is_refused(shape: dict[str, int], option: str) -> None:
    """By a sentence that names the option."""
    with pytest.raises(ConfigurationError, match=option):
        Shape(**shape)  # type: ignore[arg-type]
