"""Configuration: files, environment, and no misspelt key in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swarm import options
from swarm.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from oslo_config import cfg

GROUPS = [("engine", options.ENGINE_OPTS)]


def write(path: Path, text: str) -> list[str]:
    """Write a configuration file and return it as the list that load() takes."""
    path.write_text(text)
    return [str(path)]


def load(files: list[str], **kwargs: object) -> cfg.ConfigOpts:
    """Load the engine's options."""
    return options.load(GROUPS, config_files=files, **kwargs)  # type: ignore[arg-type]


def test_a_file_wins_over_the_default(tmp_path: Path) -> None:
    """And what it does not name keeps its default."""
    conf = load(write(tmp_path / "a.conf", "[engine]\nlisten_port = 7000\n"))
    assert conf.engine.listen_port == 7000
    assert conf.engine.listen_address == "127.0.0.1"


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OS_<GROUP>__<OPTION>, as with any OpenStack service."""
    monkeypatch.setenv("OS_ENGINE__LISTEN_PORT", "7001")
    conf = load(write(tmp_path / "a.conf", "[engine]\nlisten_port = 7000\n"))
    assert conf.engine.listen_port == 7001


def test_the_command_line_wins_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """An override is what the user typed."""
    monkeypatch.setenv("OS_ENGINE__LISTEN_PORT", "7001")
    conf = load([], overrides=[("engine", "listen_port", 7002)])
    assert conf.engine.listen_port == 7002


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[engine]\nlisten_prot = 1\n", "listen_prot"),
        ("[swarm]\ntracker = x\n", "'tracker'"),
        ("[engine]\nlisten_port = many\n", "listen_port"),
        ("[engine]\nconnections_limit = 1\n", "connections_limit"),
        ("listen_port 1\n", "configuration"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    """A misspelt key, a bad value or a broken file stops the start, and says which."""
    with pytest.raises(ConfigurationError, match=complaint):
        load(write(tmp_path / "a.conf", text))


def test_a_missing_file_is_named() -> None:
    """A file that was asked for has to be there."""
    with pytest.raises(ConfigurationError, match=r"nowhere\.conf"):
        load(["/nowhere.conf"])


def test_other_roles_sections_are_left_alone(tmp_path: Path) -> None:
    """One file may serve every role of a host."""
    assert load(write(tmp_path / "a.conf", "[tracker]\nanything = 1\n")) is not None
