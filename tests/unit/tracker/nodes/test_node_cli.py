"""`swarm node` as a process, against a tracker that is one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from swarm import node_key
from tests.unit.tracker.command import swarm, tracker_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from subprocess import CompletedProcess


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return where the tracker keeps its state, and its operator's token."""
    return tmp_path / "state"


@pytest.fixture
def node(state_dir: Path) -> Iterator[Callable[..., CompletedProcess[str]]]:
    """Run a tracker; returns what runs `swarm node ...` with the operator's token."""
    with tracker_process(state_dir) as url:

        def run(*arguments: str, **environment: str) -> CompletedProcess[str]:
            token = {"SWARM_TOKEN_FILE": str(state_dir / "operator.token")}
            return swarm("node", *arguments, **{"SWARM_TRACKER_URL": url, **token, **environment})

        yield run


ADD = ("add", "node-1", "--rack", "r [1]", "--zone", "z", "--address", "127.0.0.2")


def test_a_key_is_printed_once_and_alone(node: Callable[..., CompletedProcess[str]]) -> None:
    """On the standard output, so that it can go into a file; what to do with it goes elsewhere."""
    added = node(*ADD, "--address", "2001:db8::/64", "--may-publish")
    assert added.returncode == 0, added.stderr
    key = added.stdout.strip()
    assert node_key.is_key(key)
    assert "node_key_file" in added.stderr
    assert key not in added.stderr
    shown = json.loads(node("show", "node-1", "--json").stdout)
    assert shown["addresses"] == ["127.0.0.2/32", "2001:db8::/64"]
    assert (shown["rack"], shown["may_publish"], shown["has_key"]) == ("r [1]", True, True)
    table = node("list")
    assert "r [1]" in table.stdout
    assert "valid" in table.stdout
    assert key not in table.stdout + json.dumps(shown)
    assert json.loads(node("list", "--json").stdout)["nodes"] == [shown]


def test_keys_are_rotated_and_revoked(node: Callable[..., CompletedProcess[str]]) -> None:
    """With a grace, or now; a removed node is gone."""
    assert node(*ADD).returncode == 0
    rotated = node("rotate", "node-1", "--json")
    assert len(json.loads(rotated.stdout)["node"]["keys"]) == 2
    assert "an old one until" in node("list").stdout
    now = node("rotate", "node-1", "--now")
    assert node_key.is_key(now.stdout.strip())
    assert len(json.loads(node("show", "node-1", "--json").stdout)["keys"]) == 1
    assert "revoked" in node("revoke", "node-1").stdout
    assert node("remove", "node-1").returncode == 0
    gone = node("show", "node-1")
    assert gone.returncode == 1
    assert gone.stderr == "Error: no node has the name 'node-1'\nSee `swarm node list`.\n"


def test_without_a_token_a_closed_tracker_says_what_is_needed(
    node: Callable[..., CompletedProcess[str]], state_dir: Path, tmp_path: Path
) -> None:
    """And takes it from a file or from the environment."""
    key = node(*ADD).stdout.strip()
    refused = node("list", SWARM_TOKEN_FILE="")
    assert refused.returncode == 1
    assert "--token-file" in refused.stderr
    token = (state_dir / "operator.token").read_text()
    assert node("list", SWARM_TOKEN_FILE="", SWARM_TOKEN=token.strip()).returncode == 0
    file = tmp_path / "key"
    file.write_text(key)
    file.chmod(0o600)
    forbidden = node("list", "--token-file", str(file))
    assert forbidden.returncode == 1
    assert "address" in forbidden.stderr
    assert key not in forbidden.stderr
    missing = node("list", "--token-file", f"{file}.not")
    assert missing.returncode == 1
    assert "No such file" in missing.stderr
    assert "Traceback" not in missing.stderr + refused.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("add", "Node", "--address", "127.0.0.2"), "name"),
        (("add", "node-1", "--address", "127.0.0.256"), "127.0.0.256"),
        (("rotate", "nobody"), "nobody"),
        (("remove", "a/b"), "a/b"),
    ],
)
def test_a_mistake_is_one_sentence(
    node: Callable[..., CompletedProcess[str]], arguments: tuple[str, ...], complaint: str
) -> None:
    """And what to do."""
    failed = node(*arguments)
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: ")
    assert complaint in failed.stderr
    assert failed.stderr.count("\n") == 2
