"""The house keeps its plan: arrows one way, one door each, six folders."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[2]


def test_imports_go_one_way() -> None:
    """The contracts in pyproject.toml hold: roles apart, one door to each library."""
    lint = Path(sys.executable).parent / "lint-imports"
    if not lint.exists():
        pytest.skip("import-linter is not installed; `make lint` runs it")
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_there_are_no_other_folders() -> None:
    """Six folders are the whole house."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("not a git checkout")
    folders = {line.split("/")[0] for line in tracked.stdout.splitlines() if "/" in line}
    assert folders <= {".ci", "benchmarks", "peer", "seeder", "swarm", "tests", "tracker"}


@pytest.mark.parametrize(
    "point", entry_points(group="swarm.commands"), ids=lambda point: str(point.name)
)
def test_every_command_is_there_and_explains_itself(point: object) -> None:
    """Each entry point is a click command with a help text."""
    command = point.load()  # type: ignore[attr-defined]
    assert isinstance(command, click.Command)
    assert command.help


def test_help_does_not_import_the_heavy_libraries() -> None:
    """`swarm --help` answers fast: what a role needs is imported when it runs."""
    code = (
        "import sys; from swarm.cli import main; main(['--help'], standalone_mode=False);"
        "heavy = {'libtorrent', 'sqlalchemy', 'openstack', 'aiohttp', 'alembic', 'rich'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
