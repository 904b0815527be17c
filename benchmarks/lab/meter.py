"""The meters of a lab: bytes on every link, processor time and memory of every role.

The links are read at the switch, so that no program is asked about itself. A sample every tenth of
a second makes the curves, and finds what a process had used before it ended: what it used after
its last sample is missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from swarm import netns
from swarm.endings import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from benchmarks.lab.lab import Lab

SAMPLE_SECONDS = 0.1
_TICKS = os.sysconf("SC_CLK_TCK")
#: In a line of /proc/net/dev, after the device's name.
_RECEIVED, _SENT = 0, 8
#: In /proc/PID/stat, after the name: user and system time of itself, and of children that ended.
_TIMES = slice(11, 15)


@dataclass
class Reading:
    """What one measured stretch was like. Bytes are those of Ethernet frames, headers included."""

    seconds: float = 0.0
    #: Bytes that each host received and sent.
    received: dict[str, int] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    #: Bytes that came into each rack over its uplink, and that left it.
    into_rack: dict[str, int] = field(default_factory=dict)
    out_of_rack: dict[str, int] = field(default_factory=dict)
    #: Seconds of the start of each sample, and the bytes that each host had received by then.
    times: list[float] = field(default_factory=list)
    curves: dict[str, list[int]] = field(default_factory=dict)
    #: Share of all cores that was busy, whoever with.
    busy: float = 0.0
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    #: Bytes of the largest process of each role.
    peak_memory: dict[str, int] = field(default_factory=dict)


class BusyMeter:
    """Tells what share of all cores has been busy, whoever with, since it was made."""

    def __init__(self) -> None:
        self._busy, self._all = _processor()

    def share(self) -> float:
        """Return the share, 0 to 1."""
        busy, all_ = _processor()
        return (busy - self._busy) / max(1, all_ - self._all)


class _Meter:
    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        with netns.entered(lab.network.switch):
            self._ports = open("/proc/thread-self/net/dev")  # noqa: PTH123, SIM115 - held, reread
        self._start = time.monotonic()
        self._busy = BusyMeter()
        self._links = self._read_links()
        self._used: dict[int, float] = {}
        self._first: dict[int, float] = {}
        self._roles: dict[int, str] = {}
        self.reading = Reading(curves={host.name: [] for host in lab.hosts})
        self.look(is_first=True)

    def look(self, *, is_first: bool = False) -> None:
        """Take a sample."""
        now, links = time.monotonic() - self._start, self._read_links()
        self.reading.times.append(now)
        for name, curve in self.reading.curves.items():
            curve.append(links[name][1] - self._links[name][1])
        for pid, role in list(self._lab.roles.items()):
            with contextlib.suppress(OSError):
                self._look_at(pid, role, is_first=is_first)

    def _look_at(self, pid: int, role: str, *, is_first: bool) -> None:
        used = _cpu_seconds(pid)
        self._first.setdefault(pid, used if is_first else 0.0)
        self._used[pid], self._roles[pid] = used, role
        peak = self.reading.peak_memory
        peak[role] = max(peak.get(role, 0), _peak_bytes(pid))

    def close(self) -> None:
        """Take the last sample, and make the sums."""
        self.look()
        reading, links = self.reading, self._read_links()
        reading.seconds = time.monotonic() - self._start
        moved = {
            name: (into - self._links[name][0], out - self._links[name][1])
            for name, (into, out) in links.items()
        }
        for host in self._lab.plan.everybody:
            # What the switch sends to a host is what the host receives.
            reading.sent[host.name], reading.received[host.name] = moved[host.name]
        for rack in self._lab.plan.racks if len(self._lab.plan.racks) > 1 else ():
            reading.out_of_rack[rack] = moved[f"{rack}up"][1]
            reading.into_rack[rack] = moved[f"{rack}dn"][1]
        reading.busy = self._busy.share()
        for pid, used in self._used.items():
            role = self._roles[pid]
            spent = used - self._first[pid]
            reading.cpu_seconds[role] = reading.cpu_seconds.get(role, 0.0) + spent
        self._ports.close()

    def _read_links(self) -> dict[str, tuple[int, int]]:
        """Return what each port has received and sent."""
        self._ports.seek(0)
        found = {}
        for line in self._ports.readlines()[2:]:
            name, _, figures = line.partition(":")
            numbers = figures.split()
            found[name.strip()] = int(numbers[_RECEIVED]), int(numbers[_SENT])
        return found

    async def run(self, sample_seconds: float) -> None:
        while True:
            await asyncio.sleep(sample_seconds)
            self.look()


@contextlib.asynccontextmanager
async def metered(lab: Lab, *, sample_seconds: float = SAMPLE_SECONDS) -> AsyncIterator[Reading]:
    """Measure the block; the reading is whole once it has ended."""
    meter = _Meter(lab)
    async with running(meter.run(sample_seconds), name="meter"):
        try:
            yield meter.reading
        finally:
            meter.close()


def _processor() -> tuple[int, int]:
    """Return the time that all cores have been busy, and all their time, in ticks."""
    with open("/proc/stat") as file:  # noqa: PTH123 - many times a second
        user, nice, system, idle, iowait, *rest = map(int, file.readline().split()[1:])
    busy = user + nice + system + sum(rest[:3])
    return busy, busy + idle + iowait


def _cpu_seconds(pid: int) -> float:
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text.rpartition(")")[2].split()
    return sum(map(int, fields[_TIMES])) / _TICKS


def _peak_bytes(pid: int) -> int:
    return next(_kilobytes(pid, "VmHWM:"), 0) << 10


def _kilobytes(pid: int, label: str) -> Iterator[int]:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(label):
            yield int(line.split()[1])
