"""Laws that hold in every simulated swarm, whoever hands out and however racks are linked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.simulate import report
from benchmarks.simulate.__main__ import main
from benchmarks.simulate.answers import answers
from benchmarks.simulate.check import BY_HAND, compare, measured
from benchmarks.simulate.figures import figures
from benchmarks.simulate.pieces import PIECE, Pieces
from benchmarks.simulate.questions import SIZES
from benchmarks.simulate.swarm import Swarm, simulate
from benchmarks.simulate.world import World
from swarm.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

SMALL = World(hosts=24, racks=3, pieces=96, image_bytes=96 << 18)
WORLDS = [
    SMALL,
    replace(SMALL, slices="none"),
    replace(SMALL, slices="all", handout="uniform", uplink=2.0),
    replace(SMALL, handout="completeness", arrival="storm", storm=0.5),
    replace(SMALL, handout="pairs", gateways=4, fan_out=1, far_cap=0.5),
    replace(SMALL, arrival="half-late", numwant=4),
    replace(SMALL, slow_share=0.1, slow_rate=0.5, request_queue=64),
    replace(SMALL, hosts=1, racks=1),
]


@pytest.mark.parametrize("world", WORLDS)
def test_every_host_finishes_and_none_before_one_copy(world: World) -> None:
    """F/c is the limit: nobody receives an image in less than it takes over a whole link."""
    outcome = simulate(world)
    own = outcome.done - outcome.started
    assert np.isfinite(own).all()
    assert own.min() >= 1.0


@pytest.mark.parametrize("world", WORLDS)
def test_bytes_are_conserved(world: World) -> None:
    """What is sent is received, each host receives one image, and racks' sums agree."""
    swarm = Swarm(world)
    outcome = swarm.run()
    assert swarm.sent.sum() == swarm.received.sum() == world.hosts * world.pieces * PIECE
    assert swarm.pieces.units_missing == 0
    assert outcome.received[: world.hosts].tolist() == [1.0] * world.hosts
    assert outcome.received[world.source] == 0
    assert outcome.into_rack.sum() == pytest.approx(outcome.out_of_rack.sum())


@pytest.mark.parametrize("world", WORLDS)
def test_no_link_carries_more_than_it_can(world: World) -> None:
    """In the time until the last host is done, nobody sends, nor an uplink, more than its rate."""
    outcome = simulate(world)
    end = outcome.done.max()
    assert (outcome.sent <= world.rates() * end + 1e-9).all()
    if world.uplink:
        assert max(outcome.into_rack.max(), outcome.out_of_rack.max()) <= world.uplink * end


def test_a_seed_decides_everything() -> None:
    """The same world gives the same outcome, another seed another one."""
    first, again = simulate(SMALL), simulate(SMALL)
    other = simulate(replace(SMALL, seed=2))
    assert first.done.tolist() == again.done.tolist()
    assert first.sent.tolist() == again.sent.tolist()
    assert first.sent.tolist() != other.sent.tolist()


def test_without_a_handout_nothing_arrives() -> None:
    """The negative control: nobody is told of anybody, and it ends all the same."""
    outcome = simulate(replace(SMALL, numwant=0))
    assert np.isinf(outcome.done).all()
    assert outcome.sent.sum() == 0
    assert figures(outcome)["unfinished"] == SMALL.hosts


def test_slices_spare_the_seeder() -> None:
    """What they are for; a simulation that does not show it shows nothing."""
    world = World(hosts=8, pieces=128, image_bytes=32 << 20, rate=50e6)
    with_slices = figures(simulate(world))
    without = figures(simulate(replace(world, slices="none")))
    assert with_slices["source_sent"] < 1.1 < without["source_sent"]
    assert with_slices["last"] < without["last"]


def test_a_narrow_uplink_is_what_holds_a_rack_back() -> None:
    """Bytes into a rack take as long as its uplink needs for them."""
    outcome = simulate(replace(SMALL, uplink=1.0))
    assert outcome.done.max() >= outcome.into_rack.max()
    assert outcome.done.max() > simulate(SMALL).done.max()


def test_it_agrees_with_the_lab() -> None:
    """Within a tenth of what was measured, for every swarm of which that counts."""
    compared = compare([one for one in BY_HAND if not one.remark])
    assert {one.measured.world.hosts for one in compared} >= {4, 8, 16}
    assert [one for one in compared if not one.is_close] == []


def test_the_order_of_choice_is_libtorrents() -> None:
    """The own slice, then what few neighbours have; but a rare piece before a common own one."""
    world = World(hosts=2, pieces=8, image_bytes=8 << 20)
    pieces = Pieces(world, np.random.default_rng(1))
    pieces.deal(0, 3, 8)
    source, host = np.array([2], dtype=np.int32), np.array([0], dtype=np.int32)
    assert pieces.choose(source, host).tolist() == [3]
    pieces.heard(np.array([0]), np.array([3]))
    assert pieces.choose(source, host).tolist() != [3], "18 for it, 12 for one that nobody has"
    for piece in (0, 1, 2, 4, 5, 6, 7):
        pieces.heard(np.array([0]), np.array([piece]))
    assert pieces.choose(source, host).tolist() == [3]


def test_a_slice_dealt_anew_changes_the_order_and_nothing_else() -> None:
    """What was heard of neighbours counts on: ranks are as if the slice had been there before."""
    world = World(hosts=2, pieces=16, image_bytes=16 << 20)
    before, after = (Pieces(world, np.random.default_rng(1)) for _ in range(2))
    for pieces, deals in ((before, [(1, 2)]), (after, [(0, 4), (5, 8), (1, 2)])):
        for k, n in deals:
            pieces.deal(0, k, n)
        pieces.heard(np.zeros(20, dtype=np.intp), np.arange(20) % 7)
        pieces.claim(
            np.zeros(2, dtype=np.int32), np.array([1, 2], dtype=np.int32), np.array([9, PIECE])
        )
        pieces.deal(0, *deals[-1])
    source, host = np.full(1, 2, dtype=np.int32), np.zeros(1, dtype=np.int32)
    for _ in range(world.pieces - 1):
        one, same = (pieces.choose(source, host) for pieces in (before, after))
        assert one.tolist() == same.tolist()
        for pieces in (before, after):
            pieces.claim(host, one, np.array([PIECE]))


def test_claims_on_one_piece_share_what_is_left_of_it() -> None:
    """First come, first served, and never more than there is."""
    pieces = Pieces(World(hosts=2, pieces=2, image_bytes=2 << 20), np.random.default_rng(1))
    nodes, numbers = np.zeros(3, dtype=np.int32), np.zeros(3, dtype=np.int32)
    claimed = pieces.claim(nodes, numbers, np.array([PIECE // 2] * 3))
    assert claimed.tolist() == [PIECE // 2, PIECE // 2, 0]
    assert not pieces.is_open(nodes[:1], numbers[:1])[0]
    pieces.give_back(nodes[:1], numbers[:1], claimed[:1])
    assert pieces.is_open(nodes[:1], numbers[:1])[0]


def test_the_command_line_writes_figures(tmp_path: Path) -> None:
    """One world by its options, as text and as JSON."""
    path = tmp_path / "figures.json"
    words = ["--hosts", "6", "--racks", "2", "--pieces", "32", "--no-slices", "--json", str(path)]
    assert main([*words, "--image-bytes", str(8 << 20), "--policy", "uniform"]) == 0
    told = json.loads(path.read_text())
    assert told["world"]["slices"] == "none"
    assert told["figures"]["last"] >= 1
    assert main(["--hosts", "2", "--racks", "3"]) == 2, "more racks than hosts"


def test_a_report_says_all_that_was_answered(tmp_path: Path) -> None:
    """As JSON, text and plot; answers come from other processes, in any order."""
    worlds = [replace(SMALL, hosts=hosts, racks=1) for hosts in (4, 8)]
    worlds.append(replace(SMALL, numwant=0, pieces=32, image_bytes=32 << 18))
    asked = [(SIZES, f"case {number}", world) for number, world in enumerate(worlds)]
    found = dict(answers(asked, jobs=2))
    told = [found[number] for number in sorted(found)]
    data, text, plot = report.write(told, compare(BY_HAND[:1]), "the command", tmp_path)
    known = json.loads(data.read_text())
    assert [answer["case"] for answer in known["answers"]] == ["case 0", "case 1", "case 2"]
    assert known["answers"][2]["figures"]["last"] is None, "JSON has no infinity"
    lines = text.read_text().splitlines()
    assert any(line.startswith("| case 2 | never |") for line in lines)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_report_of_the_lab_is_read(tmp_path: Path) -> None:
    """By hosts, our own runs only, without those that failed or were held back by the processor."""
    path = tmp_path / "lab.json"

    def run(last: float, busy: float = 0.5, **more: object) -> dict[str, object]:
        figures_ = {"last": last}
        return {
            "contestant": "roles",
            "case": {"hosts": 8},
            "figures": figures_,
            "busy": busy,
            "failure": None,
        } | more

    runs = [run(1.05), run(1.09), run(3.0, 0.95), run(2.0, contestant="http")]
    runs.append(run(0.0, failure="it broke", figures={}))
    options = {"rate": 50_000_000, "image_bytes": 64 << 20, "racks": 1, "uplink": 0}
    path.write_text(json.dumps({"options": options, "runs": runs}))
    (found,) = measured(path)
    assert (found.least, found.most, found.world.hosts) == (1.05, 1.09, 8)
    path.write_text("{}")
    with pytest.raises(ConfigurationError):
        measured(path)
