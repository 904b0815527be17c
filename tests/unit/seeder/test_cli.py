"""`swarm seeder serve`, as far as its command line goes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from seeder import options
from swarm.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_wrong_option_is_one_line_and_status_2(tmp_path: Path) -> None:
    """No traceback for what an operator mistyped."""
    file = tmp_path / "seeder.conf"
    file.write_text("[seeder]\npoll_intervall = 3\n")
    done = subprocess.run(
        [sys.executable, "-m", "swarm", "seeder", "serve", "--config-file", file],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert "poll_intervall" in done.stderr


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    """What is not given on the command line comes from the file, then from the default."""
    file = tmp_path / "seeder.conf"
    file.write_text("[seeder]\ndirectory = /a\nworkers = 3\n[engine]\nlisten_port = 7\n")
    conf = options.load([str(file)], {"directory": "/b", "engine_port": None, "node": "n1"})
    assert conf.seeder.directory == "/b"
    assert conf.seeder.workers == 3
    assert conf.engine.listen_port == 7
    assert conf.swarm.node == "n1"
    assert conf.seeder.variants == ["original"]


@pytest.mark.parametrize("line", ["variants = original, cooked", "convert = later", "workers = 0"])
def test_unusable_values_are_refused(tmp_path: Path, line: str) -> None:
    """At the start, and not when they are first needed."""
    file = tmp_path / "seeder.conf"
    file.write_text(f"[seeder]\n{line}\n")
    with pytest.raises(ConfigurationError):
        options.load([str(file)], {})


def test_every_option_explains_itself() -> None:
    """The sample file is the reference: each option has a help text, [glance] included."""
    groups = dict(options.list_opts())
    assert groups.keys() == {"seeder", "glance"}
    assert all(opt.help for opts in groups.values() for opt in opts)
    assert {"auth_type", "endpoint_override", "username"} <= {opt.dest for opt in groups["glance"]}
