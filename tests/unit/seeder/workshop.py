"""What the seeder's tests are made of: settled image files, real qemu-img, a whole seeder."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from seeder import app
from seeder import options as seeder_options
from swarm import options
from swarm.deadline import within
from swarm.messages import ImageDescription, Variant, VariantState
from swarm.tracker_client import TrackerClient
from tracker import app as tracker_app
from tracker import options as tracker_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from swarm.messages import VariantDocument

IMAGE = "6f1d9d2e-5c1a-4c53-9d1e-0a4b3b6f8c11"
LONG_AGO = 1_700_000_000
T = TypeVar("T")


def settled(path: Path, data: bytes | None = None) -> Path:
    """Give a file (written now, if there are ``data``) the age of one that nobody writes to."""
    if data is not None:
        path.write_bytes(data)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def describe(data: bytes, **changes: Any) -> ImageDescription:  # noqa: ANN401 - members
    """Return the description of an image of ``data``, its hash on record."""
    members = {
        "id": IMAGE,
        "name": "debian-12",
        "size": len(data),
        "disk_format": "raw",
        "os_hash_algo": "sha512",
        "os_hash_value": hashlib.sha512(data).hexdigest(),
    }
    return ImageDescription.model_validate({**members, **changes})


def qemu_img(*arguments: str | Path) -> None:
    """Run the real qemu-img; without one, skip (fail in CI)."""
    if shutil.which("qemu-img") is None:
        reason = "qemu-img is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    subprocess.run(["qemu-img", *arguments], check=True, stdout=subprocess.DEVNULL)


def disk(size: int) -> bytes:
    """Return the bytes of a disk with something at its start and end, and a hole between."""
    half = os.urandom(size // 4)
    return half + bytes(size - 2 * len(half)) + half


def qcow2(path: Path, raw: bytes, *options: str) -> Path:
    """Write a qcow2 image of the disk ``raw``."""
    source = path.with_suffix(".source")
    source.write_bytes(raw)
    qemu_img("convert", "-f", "raw", "-O", "qcow2", *options, source, path)
    source.unlink()
    return path


@dataclass
class Running:
    """A seeder in the test's own loop, with its tracker."""

    images: Path
    state_dir: Path
    tracker: TrackerClient

    @property
    def staging(self) -> Path:
        """Where the seeder keeps its files."""
        return self.state_dir / "staging"

    async def variant(
        self, name: str, variant: Variant = Variant.ORIGINAL, *, state: VariantState
    ) -> VariantDocument:
        """Wait until a variant of the image of that name has come to ``state`` at the tracker."""

        async def look() -> VariantDocument | None:
            images = await self.tracker.list_images(name=name)
            return images[0].variant(variant) if images else None

        def has_come(found: VariantDocument | None) -> bool:
            return found is not None and found.state is state

        found = await eventually(look, has_come, what=f"{name} {variant.value} is {state.value}")
        assert found is not None
        return found

    async def gone(self, image_id: str) -> None:
        """Wait until the tracker does not know an image any more."""
        await eventually(
            self.tracker.list_images,
            lambda images: all(image.id != image_id for image in images),
            what=f"{image_id} is withdrawn",
        )


async def eventually(
    ask: Callable[[], Awaitable[T]], is_good: Callable[[T], bool] = bool, *, what: str
) -> T:
    """Ask until the answer is good, and return it; fail with the last one after 20 s."""
    deadline = time.monotonic() + 20
    while True:
        answer = await ask()
        if is_good(answer):
            return answer
        assert time.monotonic() < deadline, f"not yet: {what}, but {answer}"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def tracker_at(state_dir: Path, *, port: int = 0) -> AsyncIterator[TrackerClient]:
    """Run a tracker during the block; yields a client of it."""
    chosen = {"listen_port": port, "state_dir": str(state_dir)}
    overrides = [("tracker", name, value) for name, value in chosen.items()]
    conf = options.load(tracker_options.list_opts(), overrides=overrides)
    async with tracker_app.running(conf) as urls, TrackerClient(urls[0]) as client:
        yield client


@contextlib.asynccontextmanager
async def seeder_at(
    directory: Path, tracker: TrackerClient, config: str = "", **given: str | int
) -> AsyncIterator[Running]:
    """Run a whole seeder during the block, on the images in ``directory/images``.

    ``config`` is the text of a configuration file, ``given`` are options of the command line.
    """
    images, state_dir = directory / "images", directory / "seeder"
    images.mkdir(exist_ok=True)
    file = directory / "seeder.conf"
    # Of two values in one file the last one counts.
    file.write_text(f"[seeder]\npoll_interval = 0.2\n{config}")
    chosen: dict[str, str | int] = {
        "directory": str(images),
        "state_dir": str(state_dir),
        "tracker_url": tracker.url,
        "listen_port": 0,
        "engine_port": 0,
    }
    conf = seeder_options.load([str(file)], {**chosen, **given})
    stop = asyncio.Event()
    serving = asyncio.ensure_future(app.serve(conf, stop))
    try:
        yield Running(images, state_dir, tracker)
    finally:
        stop.set()
        await within(20, serving)
