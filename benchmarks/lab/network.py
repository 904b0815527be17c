"""The lab's network: made with `ip` and `tc`, gone with the block, or by :func:`clean`.

All of it is in namespaces of its own, and nothing is changed outside of them. One namespace is the
switch: a bridge for each rack, and one to which the racks' uplinks go. Every link is shaped both
ways by a token bucket (tbf) where packets leave; what does not fit waits in its queue, and then is
dropped, as at a switch's port.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from swarm import netns
from swarm.errors import ConfigurationError, RoleFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.lab.plan import Host, Plan

#: What a lab makes is named ``gsw-PID-...``, after the process that it belongs to.
_NAME = re.compile(r"gsw-(\d+)-[a-z0-9_]+")
_BURST_BYTES = 32_000
#: What a port's queue holds, as the time that it takes to empty.
_QUEUE_SECONDS = 0.03
_LEAST_QUEUE_BYTES = 100_000
_GONE_SECONDS = 5.0


class Network:
    """A lab's network that is up; :func:`network` makes it."""

    def __init__(self, plan: Plan, prefix: str) -> None:
        self.plan = plan
        self._prefix = prefix

    @property
    def switch(self) -> str:
        """The namespace of all bridges."""
        return f"{self._prefix}-switch"

    def netns(self, host: Host) -> str:
        """Return the name of a host's namespace."""
        return f"{self._prefix}-{host.name}"


def own_prefix() -> str:
    """Return what the names of all begin with that this process makes."""
    return f"gsw-{os.getpid()}"


def is_left_behind(name: str) -> bool:
    """Return whether this is the name of something of a lab whose process is gone."""
    match = _NAME.fullmatch(name)
    return match is not None and not Path("/proc", match[1]).exists()


@contextlib.asynccontextmanager
async def network(plan: Plan) -> AsyncIterator[Network]:
    """Make the network of a plan; when the block ends it is gone, and what still runs in it.

    Raises :class:`~swarm.errors.ConfigurationError` without the right or the tools.
    """
    check()
    prefix = own_prefix()
    made = Network(plan, prefix)
    try:
        await _make(made)
        yield made
    finally:
        await asyncio.shield(_remove(_namespaces(f"{prefix}-")))


def check() -> None:
    """Raise :class:`~swarm.errors.ConfigurationError` if no lab can be made here."""
    if os.geteuid():
        raise ConfigurationError(
            "the lab makes network namespaces and shapes links: run it as root (sudo)"
        )
    missing = [tool for tool in ("ip", "tc") if shutil.which(tool) is None]
    if missing:
        raise ConfigurationError(f"the lab needs {' and '.join(missing)}: install iproute2")


async def clean() -> list[str]:
    """Remove the networks of labs whose processes are gone; return the namespaces' names."""
    check()
    left = [name for name in _namespaces("gsw-") if is_left_behind(name)]
    await _remove(left)
    return left


def _namespaces(prefix: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(
            name
            for name in (entry.name for entry in Path(netns.DIRECTORY).iterdir())
            if name.startswith(prefix) and _NAME.fullmatch(name)
        )
    return []


async def _make(made: Network) -> None:
    plan = made.plan
    everybody = plan.everybody
    await _batch("ip", [f"netns add {name}" for name in map(made.netns, everybody)])
    await _batch("ip", [f"netns add {made.switch}"])
    await _batch("ip", list(_switch(made)), made.switch)
    for host in everybody:
        inside = made.netns(host)
        await _batch("ip", [
            "link set lo up",
            f"link add eth0 type veth peer name {host.name} netns {made.switch}",
            f"address add {host.address}/16 dev eth0",
            "link set eth0 up",
        ], inside)  # fmt: skip
        await _batch("ip", [
            f"link set {host.name} master {host.rack}", f"link set {host.name} up"
        ], made.switch)  # fmt: skip
        await _batch("tc", _shaped("eth0", host.rate), inside)
        await _batch("tc", _shaped(host.name, host.rate), made.switch)
    for rack in plan.racks if plan.shape.racks > 1 else ():
        shaped = _shaped(f"{rack}up", plan.shape.uplink) + _shaped(f"{rack}dn", plan.shape.uplink)
        await _batch("tc", shaped, made.switch)


def _switch(made: Network) -> list[str]:
    """Return what makes the bridges: packets leave a rack by ``RACKup`` and enter by ``RACKdn``."""
    racks = made.plan.racks
    lines = ["link set lo up"]
    for bridge in (*racks, "core"):
        lines += [f"link add {bridge} type bridge forward_delay 0", f"link set {bridge} up"]
    for rack in racks if len(racks) > 1 else ():
        lines += [
            f"link add {rack}up type veth peer name {rack}dn",
            f"link set {rack}up master {rack}",
            f"link set {rack}dn master core",
            f"link set {rack}up up",
            f"link set {rack}dn up",
        ]
    return lines


def _shaped(device: str, rate: int) -> list[str]:
    if not rate:
        return []
    queue = max(_LEAST_QUEUE_BYTES, int(rate / 8 * _QUEUE_SECONDS))
    burst = max(_BURST_BYTES, rate // 8 // 1000)
    return [f"qdisc add dev {device} root tbf rate {rate}bit burst {burst} limit {queue}"]


async def _batch(tool: str, lines: list[str], namespace: str | None = None) -> None:
    """Have `ip` or `tc` carry out lines, in a namespace; nothing goes through a shell."""
    if not lines:
        return
    where = () if namespace is None else ("-n", namespace)
    process = await asyncio.create_subprocess_exec(
        tool,
        *where,
        "-batch",
        "-",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, words = await process.communicate("\n".join(lines).encode() + b"\n")
    finally:
        # Nothing is to be made any more once it is being removed.
        await _gone(process)
    if process.returncode:
        raise RoleFailed(f"{tool}: {words.decode(errors='replace').strip()}")


async def _gone(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def _remove(names: list[str]) -> None:
    """End what runs in namespaces, and delete them; a lab's own processes only run in its own."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _GONE_SECONDS
    while (pids := await _pids(names)) and loop.time() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.02)
    await _batch("ip", [f"netns delete {name}" for name in names])


async def _pids(names: list[str]) -> list[int]:
    """Return who runs in one of these namespaces."""
    return await asyncio.to_thread(_find_pids, names)


def _find_pids(names: list[str]) -> list[int]:
    nodes = {Path(netns.DIRECTORY, name).stat().st_ino for name in names}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "ns" / "net").stat().st_ino in nodes:
                    found.append(int(entry.name))
    return found
