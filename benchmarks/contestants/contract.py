"""What every contestant does, so that every scenario can be put to each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from benchmarks.lab.image import Image
    from benchmarks.lab.lab import Lab
    from benchmarks.lab.plan import Host


class Distribution(Protocol):
    """One contestant, set up in a lab."""

    async def offer(self, image: Image) -> None:
        """Have the source ready to give the image: hashed, published, seeded, listened for."""

    async def fetch(self, image: Image, host: Host) -> Path:
        """Bring an image that was offered to a host; return its file there, once it is whole."""


class Contestant(Protocol):
    """Sets itself up in a lab, and leaves nothing behind when the block ends.

    Raises :class:`~swarm.errors.RoleFailed` if a program of its is not installed, or ends.
    """

    def __call__(self, lab: Lab) -> AbstractAsyncContextManager[Distribution]:
        """Return the block."""
