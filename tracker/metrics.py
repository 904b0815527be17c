"""What the tracker counts, and how Prometheus calls it: one table of names, labels and meanings.

Who counts adds to plain integers; names, labels and text are made only when somebody scrapes::

    counters.udp.ipv4.announces += 1
    counters.udp.failures[reason_of(error)] += 1

One scrape is a moment (:class:`Moment`): what has to be awaited was awaited before.
"""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

import swarm
from swarm.web import problems
from tracker.swarms.peer import COMPACT_IPV4_BYTES, COMPACT_IPV6_BYTES, IPV4_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from swarm.errors import SwarmError

    #: Values of labels, and the value.
    Samples = Sequence[tuple[tuple[str, ...], float]]
    from tracker.swarms.store import Totals

PREFIX = "glance_swarm_tracker_"


class Row(NamedTuple):
    """One metric: its name after the prefix, and without the suffix of a counter."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


TABLE = (
    Row(
        "requests",
        "counter",
        ("protocol", "action", "family"),
        "announces, scrapes, UDP connects and reports on control channels, the refused ones too",
    ),
    Row(
        "failures",
        "counter",
        ("protocol", "reason"),
        "those of them that were refused or dropped; the reason is a code of "
        "`swarm/web/problems.py`, or `connection_id`, or `overload`",
    ),
    Row(
        "rx_bytes",
        "counter",
        ("protocol", "family"),
        "bytes of such requests, over HTTP of their queries",
    ),
    Row("tx_bytes", "counter", ("protocol", "family"), "bytes of their answers, and of pushes"),
    Row("handouts", "counter", (), "lists of peers that were handed out"),
    Row("handed_out_peers", "counter", (), "peers in them"),
    Row("pushes", "counter", ("type",), "messages that were sent over control channels"),
    Row("control_channels", "gauge", ("role",), "control channels that are open here"),
    Row("nodes", "gauge", ("state",), "nodes on record: active, or revoked"),
    Row("torrents", "gauge", (), "torrents that are published"),
    Row("seeders", "gauge", (), "complete peers in all swarms, each once per address family"),
    Row("leechers", "gauge", (), "incomplete ones, likewise"),
    Row("images", "gauge", ("variant", "state"), "variants of images"),
    Row("event_subscribers", "gauge", (), "clients of `/v1/events` here"),
    Row("events_dropped", "counter", (), "subscribers that were cut, and events not passed on"),
    Row(
        "response_duration_seconds",
        "histogram",
        ("method", "route", "status"),
        "answers over HTTP, by the path in the table of routes; not streams and channels",
    ),
    Row("up", "gauge", ("part",), "whether `swarms` and `registry` answered this scrape"),
    Row("build_info", "gauge", ("version", "python"), "1"),
)


class Traffic:
    """What came and went over one protocol in one address family."""

    __slots__ = ("announces", "connects", "reports", "rx_bytes", "scrapes", "tx_bytes")

    def __init__(self) -> None:
        self.announces = self.scrapes = self.connects = self.reports = 0
        self.rx_bytes = self.tx_bytes = 0


class Protocol:
    """The traffic of one protocol, and how often it was refused, by reason."""

    __slots__ = ("failures", "ipv4", "ipv6")

    def __init__(self) -> None:
        self.ipv4 = Traffic()
        self.ipv6 = Traffic()
        self.failures: Counter[str] = Counter()

    def of(self, address: bytes) -> Traffic:
        """Return the traffic in the family of an address, which has 4 or 16 bytes."""
        return self.ipv4 if len(address) == IPV4_BYTES else self.ipv6


class Counters:
    """Everything that is counted while it happens."""

    __slots__ = ("control", "handed_out_peers", "handouts", "http", "pushes", "responses", "udp")

    def __init__(self) -> None:
        self.http = Protocol()
        self.udp = Protocol()
        self.control = Protocol()
        self.handouts = 0
        self.handed_out_peers = 0
        #: By the type of the message.
        self.pushes: Counter[str] = Counter()
        self.responses = Durations()

    def handed_out(self, peers: bytes, address: bytes) -> None:
        """Count a list of compact endpoints of the family of an address."""
        is_ipv4 = len(address) == IPV4_BYTES
        self.handouts += 1
        self.handed_out_peers += len(peers) // (
            COMPACT_IPV4_BYTES if is_ipv4 else COMPACT_IPV6_BYTES
        )


def reason_of(error: SwarmError) -> str:
    """Return what a refusal is counted as: the code of its problem."""
    return problems.row_of(error).code


#: Upper bounds, in seconds. The registry answers in milliseconds; a torrent is waited for.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0)


class Durations:
    """How long answers of the API took, by method, route and status."""

    __slots__ = ("_series",)

    def __init__(self) -> None:
        #: For each its counts between the bounds, one more beyond the last, and the sum.
        self._series: dict[tuple[str, str, str], tuple[list[int], list[float]]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Take down one answer."""
        key = (method, route, str(status))
        if key not in self._series:
            self._series[key] = ([0] * (len(BOUNDS) + 1), [0.0])
        counts, total = self._series[key]
        counts[sum(bound < seconds for bound in BOUNDS)] += 1
        total[0] += seconds

    def add_to(self, family: HistogramMetricFamily) -> None:
        """Add each series, with the cumulated buckets that Prometheus takes."""
        for labels, (counts, (total,)) in sorted(self._series.items()):
            buckets, so_far = [], 0
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
                so_far += count
                buckets.append((bound, so_far))
            family.add_metric(labels, buckets, total)


@dataclass(frozen=True)
class Moment:
    """What is there at the moment of a scrape; None where it could not be found out."""

    totals: Totals | None
    images: Mapping[tuple[str, str], int] | None
    control_channels: Mapping[str, int] = field(default_factory=dict)
    nodes: Mapping[str, int] = field(default_factory=dict)
    event_subscribers: int = 0
    events_dropped: int = 0


class Collector:
    """One scrape, in the form that prometheus-client writes out."""

    def __init__(self, counters: Counters, moment: Moment) -> None:
        self._counters = counters
        self._moment = moment

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each row of the table."""
        values = {**_counted(self._counters), **_found(self._moment)}
        for row in TABLE:
            if row.kind == "histogram":
                family = HistogramMetricFamily(PREFIX + row.name, row.help, labels=row.labels)
                self._counters.responses.add_to(family)
                yield family
            else:
                yield _family(row, values[row.name])


def _family(row: Row, values: Samples) -> Metric:
    kind = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
    family = kind(PREFIX + row.name, row.help, labels=row.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _counted(counters: Counters) -> dict[str, Samples]:
    protocols = {"http": counters.http, "udp": counters.udp, "control": counters.control}
    traffic = [
        (name, family, getattr(protocol, family))
        for name, protocol in protocols.items()
        for family in ("ipv4", "ipv6")
    ]
    return {
        "requests": [
            ((name, action.removesuffix("s"), family), getattr(flow, action))
            for name, family, flow in traffic
            for action in _ACTIONS[name]
        ],
        "failures": [
            ((name, reason), count)
            for name, protocol in protocols.items()
            for reason, count in sorted(protocol.failures.items())
        ],
        "rx_bytes": [((name, family), flow.rx_bytes) for name, family, flow in traffic],
        "tx_bytes": [((name, family), flow.tx_bytes) for name, family, flow in traffic],
        "handouts": [((), counters.handouts)],
        "handed_out_peers": [((), counters.handed_out_peers)],
        "pushes": [((kind,), count) for kind, count in sorted(counters.pushes.items())],
    }


_ACTIONS = {
    "http": ("announces", "scrapes"),
    "udp": ("connects", "announces", "scrapes"),
    "control": ("reports",),
}


def _found(moment: Moment) -> dict[str, Samples]:
    totals, images = moment.totals, moment.images
    sizes = [] if totals is None else [totals.torrents, totals.complete, totals.incomplete]
    return {
        "torrents": [((), n) for n in sizes[:1]],
        "seeders": [((), n) for n in sizes[1:2]],
        "leechers": [((), n) for n in sizes[2:]],
        "images": sorted((images or {}).items()),
        "control_channels": [((role,), n) for role, n in sorted(moment.control_channels.items())],
        "nodes": [((state,), n) for state, n in sorted(moment.nodes.items())],
        "event_subscribers": [((), moment.event_subscribers)],
        "events_dropped": [((), moment.events_dropped)],
        "up": [
            (("registry",), float(images is not None)),
            (("swarms",), float(totals is not None)),
        ],
        "build_info": [((swarm.__version__, platform.python_version()), 1)],
    }
