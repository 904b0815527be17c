"""Keys of nodes: their form and their hash; and how they are read from files."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from swarm import node_key, options, token_file
from swarm.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from oslo_config import cfg


def test_keys_differ_and_need_no_quoting() -> None:
    """They stand in a path and in a header as they are."""
    keys = {node_key.new_key() for _ in range(100)}
    assert len(keys) == 100
    for key in keys:
        assert node_key.is_key(key)
        assert len(key) == node_key.KEY_LENGTH
        assert quote(key, safe="") == key
        assert token_file.is_sendable(key)


@pytest.mark.parametrize("text", ["", "gsw_", "gsw_" + "a" * 42, "gsw_" + "a" * 44, "a" * 47])
def test_what_is_no_key_is_told_apart(text: str) -> None:
    """By its beginning and its length; a line's end is not part of it."""
    assert not node_key.is_key(text)
    assert not node_key.is_key(node_key.new_key() + "\n")


def test_the_hash_is_sha_256() -> None:
    """Of text or bytes alike."""
    digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert node_key.hash_of("abc") == node_key.hash_of(b"abc") == digits


def configured(**values: str) -> cfg.ConfigOpts:
    """Return a configuration with ``values`` in [swarm]."""
    return options.load([], overrides=[("swarm", name, value) for name, value in values.items()])


def test_a_node_gets_its_key_from_a_file_or_an_option(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file wins; one that others can read is warned of, and used."""
    key, other, path = node_key.new_key(), node_key.new_key(), tmp_path / "key"
    path.write_text(f"{key}\n")
    path.chmod(0o600)
    assert token_file.node_key(configured()) is None
    assert token_file.node_key(configured(node_key=other)) == other
    assert token_file.node_key(configured(node_key=other, node_key_file=str(path))) == key
    assert not caplog.records
    path.chmod(0o640)
    with caplog.at_level(logging.WARNING):
        assert token_file.node_key(configured(node_key_file=str(path))) == key
    assert "chmod 600" in caplog.text
    assert key not in caplog.text


@pytest.mark.parametrize("text", ["", "two words", "not a key", "\xff", "x" * 10_000])
def test_a_file_without_a_key_is_named_and_not_quoted(tmp_path: Path, text: str) -> None:
    """It may hold another secret."""
    path = tmp_path / "key"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match="key") as refusal:
        token_file.node_key(configured(node_key_file=str(path)))
    assert str(path) in refusal.value.detail
    assert not text or text not in refusal.value.detail.replace(str(path), "")
    with pytest.raises(ConfigurationError, match="No such file"):
        token_file.node_key(configured(node_key_file=f"{path}.not"))
    with pytest.raises(ConfigurationError, match="node_key"):
        token_file.node_key(configured(node_key="gsw_short"))
