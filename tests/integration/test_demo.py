"""`swarm demo` as its user sees it: the exit status is true, and nothing stays behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.images import write_random

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)

COMMAND = [sys.executable, "-m", "swarm", "demo", "--size", "16"]


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes that the demo started."""
    return psutil.Process(process.pid).children(recursive=True)


def test_the_demo_checks_every_copy(tmp_path: Path) -> None:
    """A generated image and a given one, three agents: exit status 0, six equal files."""
    image = write_random(tmp_path / "given.img", 3_000_001)
    done = subprocess.run(
        [*COMMAND, "--agents", "3", "--image", image, "--directory", tmp_path / "work"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("equal") == 6
    assert "DIFFERS" not in done.stdout
    copies = list((tmp_path / "work").glob("agent-*-instances/*"))
    assert len(copies) == 6
    assert sum(copy.read_bytes() == image.read_bytes() for copy in copies) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_stays_behind(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM, and even SIGKILL of the demo end every role."""
    process = subprocess.Popen(
        [*COMMAND, "--directory", tmp_path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    roles: list[psutil.Process] = []
    try:
        while len(roles) < 3:
            assert process.poll() is None
            roles = descendants(process)  # type: ignore[arg-type]
        process.send_signal(number)
        assert process.wait(60) != 0
        gone, alive = psutil.wait_procs(roles, timeout=30)
        assert not alive, alive
        assert len(gone) >= 3
    finally:
        process.kill()
        process.wait()


def test_a_demo_without_space_says_so(tmp_path: Path) -> None:
    """It asks for more than there is: refused before anything is written."""
    done = subprocess.run(
        [*COMMAND[:-1], str(1 << 20), "--agents", "64", "--directory", tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "MiB" in done.stdout
    assert list(tmp_path.iterdir()) == []
