"""The operator's token: made once, kept, and shown to nobody."""

from __future__ import annotations

import logging
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from swarm.errors import ConfigurationError
from tracker.nodes.operator_token import operator_token

if TYPE_CHECKING:
    from pathlib import Path


def test_a_token_is_made_once_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """For its owner only; the log has the path of the file and not what is in it."""
    with caplog.at_level(logging.DEBUG):
        token = operator_token("", tmp_path)
        assert operator_token("", tmp_path) == token
    path = tmp_path / "operator.token"
    assert path.read_text().strip() == token
    assert len(token) >= 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["operator.token"]
    assert str(path) in caplog.text
    assert token not in caplog.text


def test_trackers_that_start_together_have_one_token(tmp_path: Path) -> None:
    """Whoever comes second takes the first one's."""
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: operator_token("", tmp_path), range(8)))
    assert len(tokens) == 1


def test_a_configured_token_is_taken_as_it_is(tmp_path: Path) -> None:
    """And no file is made."""
    assert operator_token("0123456789abcdef", tmp_path) == "0123456789abcdef"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("token", ["short", "with a space in it", "ümläute-are-not-ascii"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(tmp_path: Path, token: str) -> None:
    """Without quoting it; so is one in a file."""
    with pytest.raises(ConfigurationError, match="operator_token") as refusal:
        operator_token(token, tmp_path)
    assert token not in refusal.value.detail
    (tmp_path / "operator.token").write_text(token)
    with pytest.raises(ConfigurationError, match=r"operator\.token"):
        operator_token("", tmp_path)


def test_a_file_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is used all the same: refusing would stop the tracker."""
    token = operator_token("", tmp_path)
    (tmp_path / "operator.token").chmod(0o644)
    assert operator_token("", tmp_path) == token
    assert "chmod 600" in caplog.text


def test_a_directory_that_cannot_be_written_is_named() -> None:
    """In the words of the system."""
    from pathlib import Path  # noqa: PLC0415 - only here it is more than a type

    with pytest.raises(ConfigurationError, match=r"/proc/no: No such file or directory|/proc"):
        operator_token("", Path("/proc/no"))
