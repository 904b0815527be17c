"""Images that were fetched before, so that a lab's memory does not fill with every repeat's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.lab.image import Image


class Fetches:
    """Knows which images were fetched, and whether any is being fetched now."""

    def __init__(self) -> None:
        self._under_way = 0
        self._fetched: dict[str, Image] = {}

    @contextlib.contextmanager
    def of(self, image: Image) -> Iterator[None]:
        """Fetch ``image`` during the block."""
        self._under_way += 1
        self._fetched[image.id] = image
        try:
            yield
        finally:
            self._under_way -= 1

    def take_former(self) -> list[Image]:
        """Return, once, the images that nobody will look at again.

        As long as any is fetched those are none: several may be offered and fetched together.
        """
        if self._under_way:
            return []
        former = list(self._fetched.values())
        self._fetched.clear()
        return former
