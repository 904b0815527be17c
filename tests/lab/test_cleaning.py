"""Whatever ends a measurement, nothing of it stays: no namespace, no process, no file in memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from swarm import netns
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")  # noqa: S108 - the file system itself
PROGRAM = (sys.executable, "-m", "benchmarks")
#: A run takes a second, all of them longer than a test.
WHAT = ("--hosts", "3", "--image", "2M", "--rate", "16M", "--repeat", "20")


def left_of(pid: int) -> list[Path]:
    """Return what a lab of process ``pid`` has made that is still there."""
    places = Path(netns.DIRECTORY), MEMORY
    return [path for place in places if place.exists() for path in place.glob(f"gsw-{pid}-*")]


@contextlib.asynccontextmanager
async def in_the_middle(
    directory: Path,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[psutil.Process]]]:
    """Start a run; yields it, and its processes, once agents run and a run was measured."""
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "run", "flash-crowd", *WHAT),
        *("--contestants", "roles", "--results", directory),
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await until(lambda: has_begun(process, directory), what="a run is measured", seconds=120)
        yield process, psutil.Process(process.pid).children(recursive=True)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def has_begun(process: asyncio.subprocess.Process, directory: Path) -> bool:
    """Tell whether one run is measured, and three agents run."""
    assert process.returncode is None
    children = psutil.Process(process.pid).children()
    agents = [child for child in children if "peer" in command_of(child)]
    return len(agents) == 3 and any(directory.glob("*.json"))


def command_of(process: psutil.Process) -> list[str]:
    """Return a process's words; none if it is gone."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_unwinds_a_run_and_keeps_what_was_measured(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The report is written, and says that it is partial."""

    async def scenario() -> None:
        async with in_the_middle(tmp_path) as (process, others):
            assert left_of(process.pid), "the premise"
            process.send_signal(number)
            process.send_signal(number)  # impatience does not cut the cleaning up short
            assert await process.wait() == 128 + number
            assert left_of(process.pid) == []
            assert not psutil.wait_procs(others, timeout=0)[1]

    asyncio.run(scenario())
    (data,) = tmp_path.glob("*.json")
    report = json.loads(data.read_text())
    assert report["partial"] == "it was interrupted"
    assert 1 <= len(report["runs"]) < 20
    assert "Partial" in data.with_suffix(".md").read_text()


def test_clean_removes_what_a_killed_run_has_left(tmp_path: Path) -> None:
    """Namespaces, processes and files of a process that is gone; a running lab's stay."""

    async def scenario() -> None:
        async with in_the_middle(tmp_path) as (process, others):
            process.kill()
            await process.wait()
            left = left_of(process.pid)
            assert {path.parent for path in left} == {Path(netns.DIRECTORY), MEMORY}
            cleaning = await asyncio.create_subprocess_exec(
                *PROGRAM, "clean", cwd=ROOT, stdout=asyncio.subprocess.PIPE
            )
            said, _ = await cleaning.communicate()
            assert cleaning.returncode == 0
            assert left_of(process.pid) == []
            assert all(path.name in said.decode() for path in left)
            assert not psutil.wait_procs(others, timeout=5)[1]

    asyncio.run(scenario())


def test_clean_leaves_a_running_lab_alone(tmp_path: Path) -> None:
    """It may be somebody else's."""

    async def scenario() -> None:
        async with in_the_middle(tmp_path) as (process, others):
            before = left_of(process.pid)
            cleaning = await asyncio.create_subprocess_exec(
                *PROGRAM, "clean", cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
            )
            assert await cleaning.wait() == 0
            assert left_of(process.pid) == before != []
            assert all(other.is_running() for other in others if "serve" in command_of(other))
            process.terminate()
            await process.wait()

    asyncio.run(scenario())
