"""The `swarm` command and a tracker as processes of their own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SWARM = [sys.executable, "-c", "from swarm.cli import main; main()"]


def swarm(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the `swarm` command to its end."""
    return subprocess.run(
        [*SWARM, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environment},
    )


@contextlib.contextmanager
def tracker_process(state_dir: Path) -> Iterator[str]:
    """Run a tracker on a free port; yields its URL. It must end by SIGTERM with status 0."""
    arguments = ["tracker", "serve", "--listen-port", "0", "--state-dir", str(state_dir)]
    with subprocess.Popen([*SWARM, *arguments], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := re.search(r"tracker listening on (\S+)", line):
                    yield found[1]
                    break
            else:
                pytest.fail("the tracker ended before it listened")
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
        finally:
            process.kill()
