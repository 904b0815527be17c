"""Children end with their parent, even one that ended while they were being started."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import pytest

from swarm.fleet import die_with


@pytest.mark.parametrize(("parent", "status"), [(os.getpid(), 0), (1, 1)])
def test_a_child_whose_parent_is_gone_does_not_start(parent: int, status: int) -> None:
    """A parent that was killed between fork and exec leaves nobody behind."""
    done = subprocess.run(
        [sys.executable, "-c", ""],
        preexec_fn=partial(die_with, parent),
        timeout=20,
        check=False,
    )
    assert done.returncode == status
