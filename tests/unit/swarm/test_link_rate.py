"""The rate of a link, and the queue that follows from it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from swarm.engine.profiles import EngineSettings, queue_seconds, request_queue, settings_pack
from swarm.link_rate import MEGABIT, link_rate
from swarm.netns import entered
from tests.privileges import needs_root

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def veth() -> Iterator[str]:
    """Make a namespace with a virtual card at 10.77.0.1 and fd77::1; return its name."""
    needs_root("making a network card")
    name = f"gst-{os.getpid()}"
    commands = [
        f"ip netns add {name}",
        f"ip -n {name} link add card type veth peer name other",
        f"ip -n {name} address add 10.77.0.1/24 dev card",
        f"ip -n {name} address add fd77::1/64 dev card nodad",
        f"ip -n {name} link set card up",
        f"ip -n {name} link set other up",
    ]
    try:
        for command in commands:
            subprocess.run(command.split(), check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.mark.parametrize("address", ["10.77.0.1", "fd77::1"])
def test_a_card_says_its_rate_in_its_own_namespace(veth: str, address: str) -> None:
    """By either family's address; a veth says 10 Gbit/s. Elsewhere there is no such address."""
    with entered(veth):
        assert link_rate(address) == 10_000 * MEGABIT
    assert link_rate(address) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.77", "::1", "203.0.113.9"])
def test_what_has_no_card_has_no_known_rate(address: str) -> None:
    """Loopback, and an address that is not ours."""
    assert link_rate(address) is None


def test_the_queue_grows_with_the_link_within_bounds() -> None:
    """From two requests to 250; in between in proportion."""
    queues = [request_queue(megabits * MEGABIT) for megabits in (1, 50, 1000, 10_000, 400_000)]
    assert queues == sorted(queues)
    assert (queues[0], queues[-1]) == (2, 250)
    assert request_queue(400 * MEGABIT) == pytest.approx(2 * request_queue(200 * MEGABIT), abs=1)
    assert request_queue(None) == request_queue(1000 * MEGABIT)


def test_an_operator_has_the_last_word() -> None:
    """A rate that is given replaces the card's, a queue that is given the rule's."""
    slow = settings_pack(EngineSettings(link_rate=50))
    assert slow["max_allowed_in_request_queue"] == request_queue(50 * MEGABIT)
    own = settings_pack(EngineSettings(link_rate=50, request_queue=500))
    assert own["max_out_request_queue"] == own["max_allowed_in_request_queue"] == 500


def test_with_more_than_a_few_peers_two_requests_wait_with_each() -> None:
    """The least that libtorrent knows, by a setting of 0; a second's worth with fewer peers."""
    assert [queue_seconds(peers) for peers in (0, 1, 4, 5, 50)] == [1, 1, 1, 0, 0]
