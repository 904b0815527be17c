"""The directory of the files that the seeder itself owns: copies of images, and raw forms.

A file has its final name only once it is whole, verified and on disk; until then it is a ``.part``,
and what a crash leaves of those is removed at the next start. Files of the source are never here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from functools import partial
from typing import TYPE_CHECKING

from swarm.blocking import in_thread
from swarm.disk_errors import translated
from swarm.errors import ConfigurationError, NoSpace
from swarm.metainfo import TorrentName

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from swarm.messages import Variant

_PART = ".part"


class Staging:
    """Paths, space and publication of staged files. Methods that are no coroutines block."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Own the directory while the block runs; it is made and cleaned first.

        Raises :class:`~swarm.errors.ConfigurationError` if it can't be written, or if another
        seeder has it.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = (self.directory / "lock").open("w")
        except OSError as error:
            raise ConfigurationError(
                f"[seeder] state_dir: {self.directory} can't be used: {error.strerror}"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigurationError(
                    f"[seeder] state_dir: another seeder uses {self.directory}"
                ) from error
            for part in self.directory.glob(f"*{_PART}"):
                part.unlink()
            yield

    def path(self, image_id: str, variant: Variant) -> Path:
        """Return where a whole variant is kept."""
        return self.directory / str(TorrentName(image_id, variant))

    @contextlib.asynccontextmanager
    async def part(self, image_id: str, variant: Variant) -> AsyncIterator[Path]:
        """Give the path of a part to fill; it is gone after the block unless it was committed."""
        path = self.path(image_id, variant)
        part = path.with_name(path.name + _PART)
        try:
            yield part
        finally:
            await in_thread(partial(part.unlink, missing_ok=True))

    def commit(self, part: Path) -> Path:
        """Give a whole part, whose bytes are on disk, its final name, and return that."""
        path = part.with_suffix("")
        with translated(f"rename {part}"):
            part.replace(path)
            directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        return path

    def discard(self, image_id: str, variant: Variant) -> None:
        """Remove a staged variant, if it is here."""
        path = self.path(image_id, variant)
        with translated(f"remove {path}"):
            path.unlink(missing_ok=True)

    def require_space(self, size: int) -> None:
        """Raise :class:`~swarm.errors.NoSpace` unless ``size`` bytes are free."""
        with translated(f"look at {self.directory}"):
            free = shutil.disk_usage(self.directory).free
        if free < size:
            raise NoSpace(
                f"{self.directory} has {free} bytes free, the image needs {size}",
                path=str(self.directory),
            )
