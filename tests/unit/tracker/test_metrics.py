"""`/metrics` prints what the table says, and the README says the same."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from swarm import errors
from swarm.messages import Variant
from tests.unit.tracker import lab
from tests.unit.tracker.udp_client import scrape_request, udp_client
from tests.waiting import until
from tracker.metrics import BOUNDS, PREFIX, TABLE, Collector, Counters, Moment, reason_of
from tracker.swarms.store import Totals

if TYPE_CHECKING:
    from prometheus_client import Metric

    from swarm.tracker_client import TrackerClient

README = Path(__file__).parents[3] / "tracker" / "README.md"
#: Of every process that prometheus-client watches; they are not ours to name.
FOREIGN = ("process_", "python_")


async def scrape(client: TrackerClient) -> dict[str, Metric]:
    """Return the families on /metrics, by name without the prefix."""
    async with client.session.get(f"{client.url}/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        text = await response.text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert any(name.startswith("process_resident_memory") for name in families)
    assert all(name.startswith((PREFIX, *FOREIGN)) for name in families)
    return {name.removeprefix(PREFIX): family for name, family in families.items()}


def values(family: Metric) -> dict[tuple[str, ...], float]:
    """Return the samples of a family by the values of their labels, in the table's order."""
    (labels,) = (row.labels for row in TABLE if row.name == family.name.removeprefix(PREFIX))
    return {tuple(s.labels[label] for label in labels): s.value for s in family.samples}


def full() -> tuple[Counters, Moment]:
    """Return counters of which each has counted something, each another number."""
    counters = Counters()
    counters.udp.ipv4.announces += 1
    counters.http.of(bytes(16)).scrapes += 2
    counters.control.ipv4.reports += 3
    counters.udp.failures[reason_of(errors.NotFound("x"))] += 4
    counters.udp.failures["overload"] += 5
    counters.http.ipv4.rx_bytes += 6
    counters.handouts += 7
    counters.handed_out_peers += 8
    counters.pushes["update"] += 9
    counters.responses.observe("GET", "/v1/images/{id}", 200, 0.03)
    moment = Moment(
        totals=Totals(10, 11, 12),
        images={("raw", "failed"): 13},
        control_channels={"seeder": 14},
        nodes={"active": 15, "revoked": 16},
        event_subscribers=17,
        events_dropped=18,
    )
    return counters, moment


def test_every_row_is_printed_with_its_labels() -> None:
    """Name, kind and labels of each sample are those of the table, in its order."""
    families = list(Collector(*full()).collect())
    assert [(f.name.removeprefix(PREFIX), f.type) for f in families] == [
        (row.name, row.kind) for row in TABLE
    ]
    for row, family in zip(TABLE, families, strict=True):
        assert family.samples, f"{row.name}: nothing to look at"
        for sample in family.samples:
            assert tuple(name for name in sample.labels if name != "le") == row.labels


def test_each_number_comes_out_where_it_belongs() -> None:
    """No counter is printed under another's name."""
    found = {f.name.removeprefix(PREFIX): values(f) for f in Collector(*full()).collect()}
    assert found["requests"]["udp", "announce", "ipv4"] == 1
    assert found["requests"]["http", "scrape", "ipv6"] == 2
    assert found["requests"]["control", "report", "ipv4"] == 3
    assert sum(found["requests"].values()) == 6
    assert found["failures"] == {("udp", "not_found"): 4, ("udp", "overload"): 5}
    assert found["rx_bytes"]["http", "ipv4"] == 6
    assert found["tx_bytes"]["http", "ipv4"] == 0
    singles = ("handouts", "handed_out_peers", "torrents", "seeders", "leechers")
    assert [found[name][()] for name in singles] == [7, 8, 10, 11, 12]
    assert found["pushes"] == {("update",): 9}
    assert found["images"] == {("raw", "failed"): 13}
    assert found["control_channels"] == {("seeder",): 14}
    assert found["nodes"] == {("active",): 15, ("revoked",): 16}
    assert (found["event_subscribers"][()], found["events_dropped"][()]) == (17, 18)
    assert found["up"] == {("registry",): 1, ("swarms",): 1}


def test_what_could_not_be_found_out_is_left_out() -> None:
    """Rather than printed as 0, which would be a lie; `up` says so."""
    families = Collector(Counters(), Moment(totals=None, images=None)).collect()
    found = {family.name.removeprefix(PREFIX): values(family) for family in families}
    assert found["up"] == {("registry",): 0, ("swarms",): 0}
    for name in ("torrents", "seeders", "leechers", "images"):
        assert found[name] == {}


@pytest.mark.parametrize("seconds", [0, BOUNDS[0], BOUNDS[3] + 0.001, BOUNDS[-1] + 1])
def test_durations_are_cumulated(seconds: float) -> None:
    """A bucket counts all that took at most its bound; the last one all."""
    counters = Counters()
    counters.responses.observe("GET", "/x", 200, seconds)
    families = Collector(counters, Moment(None, None)).collect()
    (family,) = (f for f in families if f.name.endswith("response_duration_seconds"))
    buckets = {s.labels["le"]: s.value for s in family.samples if s.name.endswith("_bucket")}
    assert buckets == {**{str(b): float(seconds <= b) for b in BOUNDS}, "+Inf": 1}
    sums = {s.name.rpartition("_")[2]: s.value for s in family.samples if "le" not in s.labels}
    assert sums == {"count": 1, "sum": seconds}


def test_the_readme_has_the_table() -> None:
    """Each metric once, with its labels and the words of its help."""
    text = README.read_text()
    section = text[text.index("\n## Metrics") :]
    rows = re.findall(r"^\| `(\w+)` \| ?(.*?) ?\| (.*) \|$", section, re.MULTILINE)
    suffix = {"counter": "_total", "gauge": "", "histogram": ""}
    assert rows == [
        (row.name + suffix[row.kind], ", ".join(f"`{x}`" for x in row.labels), row.help)
        for row in TABLE
    ]


def test_a_tracker_shows_what_it_has(tmp_path: Path) -> None:
    """Torrents, peers, images and answers; an id is not a label, nor is a path that is none."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            made = await lab.publish(t)
            await lab.announce(t, made.announce_hash, port=1, left=0)
            await lab.announce(t, made.announce_hash, port=2)
            with pytest.raises(errors.NotFound):
                await t.call("GET", "/no/such/path")
            with pytest.raises(errors.SwarmError):
                await t.call("PATCH", f"/v1/images/{lab.IMAGE}")
            with pytest.raises(errors.Unavailable):
                await t.fetch_torrent(lab.IMAGE, Variant.RAW)
            async with lab.connected(t, lab.FakeNode()):
                found = await scrape(t)
            assert {row.name for row in TABLE} <= set(found)
            assert values(found["torrents"])[()] == 1
            assert values(found["seeders"])[()] == values(found["leechers"])[()] == 1
            assert values(found["images"])["original", "published"] == 1
            assert values(found["control_channels"])["seeder",] == 1
            assert values(found["up"]) == {("registry",): 1, ("swarms",): 1}
            counts = {
                (s.labels["method"], s.labels["route"], s.labels["status"]): s.value
                for s in found["response_duration_seconds"].samples
                if s.name.endswith("_count")
            }
            assert counts["PUT", "/v1/images/{id}", "200"] == 1
            assert counts["GET", "/v1/images/{id}/torrent", "503"] == 1
            assert (counts["", "", "404"], counts["", "", "405"]) == (1, 1)

    asyncio.run(scenario())


def test_whatever_is_said_is_counted(tmp_path: Path) -> None:
    """Over HTTP, UDP and the control channel; refusals by their reason, handouts, and pushes."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as client:
            await client.register_image(lab.describe())
            key = (await lab.publish(client)).announce_hash
            for port in (1, 2):
                await lab.announce(client, key, port=port)
            await lab.announce(client, b"x" * 20, port=1)
            await lab.get(client, f"/scrape?info_hash={lab.quoted(key)}")
            async with udp_client(client.url) as sock:
                await sock.announce(key, port=3)
                assert await sock.ask(scrape_request(await sock.connect(), b"last", key))
            node = lab.FakeNode(held={key: 1})
            async with lab.connected(client, node, name="n", role="agent", port=9):
                await until(lambda: key in node.peers, what="the handout")
                found = await scrape(client)
            requests = values(found["requests"])
            assert requests["http", "announce", "ipv4"] == 3
            assert requests["http", "scrape", "ipv4"] == 1
            assert requests["udp", "connect", "ipv4"] == 2
            assert requests["udp", "announce", "ipv4"] == 1
            assert requests["udp", "scrape", "ipv4"] == 1
            assert requests["control", "report", "ipv4"] >= 1
            assert values(found["failures"])["http", "not_found"] == 1
            assert values(found["handouts"])[()] == 4, "an empty one counts"
            assert values(found["handed_out_peers"])[()] == 1 + 2 + 3
            assert values(found["pushes"])[("update",)] >= 1
            for flow in ("rx_bytes", "tx_bytes"):
                for protocol in ("http", "udp", "control"):
                    assert values(found[flow])[protocol, "ipv4"] > 0

    asyncio.run(scenario())
