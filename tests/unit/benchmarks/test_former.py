"""Images of former repeats go, and none that anybody still looks at."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.contestants.former import Fetches
from benchmarks.lab.image import Image

FIRST, SECOND = (Image(Path(f"/images/{name}.raw"), 1, "", 1) for name in ("first", "second"))


def test_what_was_fetched_is_former_once() -> None:
    """One that was only offered is not; one that was taken is not taken again."""
    fetches = Fetches()
    assert fetches.take_former() == []
    for _ in range(2):
        with fetches.of(FIRST):
            pass
    assert fetches.take_former() == [FIRST]
    assert fetches.take_former() == []


def test_nothing_is_former_while_anything_is_fetched() -> None:
    """Several images may be offered and fetched together, and end one by one."""
    fetches = Fetches()
    with fetches.of(SECOND):
        with fetches.of(FIRST):
            pass
        assert fetches.take_former() == []
    assert fetches.take_former() == [SECOND, FIRST]


def test_a_fetch_that_fails_has_ended() -> None:
    """It does not keep all others."""
    fetches = Fetches()
    with pytest.raises(OSError, match="lost"), fetches.of(FIRST):
        raise OSError("lost")
    assert fetches.take_former() == [FIRST]
