"""The file that a transfer fills, from its creation to its final name.

It lies beside its destination, as ``<name>.<transfer id>.part`` with mode 0600, so that publishing
it is a link within one directory: atomic, and refused by the kernel if the name is taken. The final
name never shows a partial file and never replaces another.

Everything here blocks, and is called in threads.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from peer.instance_store.directory import check_same, open_parent
from swarm.disk_errors import translated
from swarm.errors import DestinationExists, NoSpace, StorageFailed

if TYPE_CHECKING:
    from typing_extensions import Self

    from peer.instance_store.destination import Destination

_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = _OPEN | os.O_CREAT | os.O_EXCL


def check_free(destination: Destination) -> None:
    """Raise what would stop a transfer to ``destination`` now; changes nothing.

    :class:`~swarm.errors.DestinationExists` counts anything of that name, a dangling symbolic link
    too; see :func:`~peer.instance_store.directory.open_parent` for the rest.
    """
    directory = open_parent(destination)
    try:
        _check_absent(destination, directory)
    finally:
        os.close(directory)


class PartFile:
    """An open part file in an open directory; close it in the end, whatever happened."""

    def __init__(self, destination: Destination, name: str, directory_fd: int, fd: int) -> None:
        self.destination = destination
        self.fd = fd
        self._name = name
        self._directory = directory_fd

    @classmethod
    def open(cls, destination: Destination, transfer_id: str) -> Self:
        """Create the part file, or take up the one that this transfer left before a restart."""
        directory = open_parent(destination)
        try:
            _check_absent(destination, directory)
            name = part_name(destination, transfer_id)
            with translated(f"creating {name}"):
                fd = _take_up(name, directory)
                if fd is None:
                    fd = os.open(name, _CREATE, 0o600, dir_fd=directory)
        except BaseException:
            os.close(directory)
            raise
        return cls(destination, name, directory, fd)

    @property
    def path(self) -> str:
        """Absolute path, for the engine, which opens files by name."""
        return f"{self.destination.path.rpartition('/')[0]}/{self._name}"

    def check_space(self, size: int) -> None:
        """Raise NoSpace if ``size`` bytes, less what the file has already, do not fit."""
        with translated(f"looking at {self.path}"):
            space = os.fstatvfs(self._directory)
            has = os.fstat(self.fd).st_blocks * 512
        free = space.f_bavail * space.f_frsize
        if size > free + has:
            raise NoSpace(
                f"{self.destination.path} needs {size} bytes, and its file system has {free} free",
                size=size,
                free=free,
            )

    def resize(self, size: int) -> None:
        """Give it its full size: one hole, where nothing is written yet."""
        with translated(f"sizing {self.path}"):
            os.ftruncate(self.fd, size)

    def clear(self, size: int) -> None:
        """Make it ``size`` bytes of nothing, whatever it had."""
        self.resize(0)
        self.resize(size)

    def sync(self) -> None:
        """Return once all its bytes are on the disk."""
        with translated(f"writing {self.path} to the disk"):
            os.fdatasync(self.fd)

    def status(self) -> os.stat_result:
        """Return what the file system knows of it."""
        with translated(f"looking at {self.path}"):
            return os.fstat(self.fd)

    def publish(self, mode: int) -> None:
        """Give it its final name and ``mode``; both are on the disk afterwards.

        Raises :class:`~swarm.errors.DestinationExists` if the name was taken meanwhile, and
        :class:`~swarm.errors.StorageFailed` if directory or file are not those of the beginning.
        """
        check_same(self.destination, self._directory)
        with translated(f"placing {self.destination.path}"):
            self._check_unreplaced()
            os.fchmod(self.fd, mode)
            os.fsync(self.fd)
            try:
                os.link(
                    self._name,
                    self.destination.name,
                    src_dir_fd=self._directory,
                    dst_dir_fd=self._directory,
                    follow_symlinks=False,
                )
            except FileExistsError as error:
                raise _exists(self.destination) from error
            self._settle_name()

    def _settle_name(self) -> None:
        """Leave only the final name; if the disk fails now, leave none."""
        try:
            os.unlink(self._name, dir_fd=self._directory)
            os.fsync(self._directory)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(self.destination.name, dir_fd=self._directory)
            raise

    def _check_unreplaced(self) -> None:
        found = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        if not os.path.samestat(found, os.fstat(self.fd)):
            raise StorageFailed(f"{self.path} was replaced during the transfer")

    def discard(self) -> None:
        """Remove it, for a transfer that failed or was cancelled."""
        with translated(f"removing {self.path}"), contextlib.suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._directory)

    def close(self) -> None:
        """Let go of file and directory; a second time does nothing."""
        for fd in (self.fd, self._directory):
            if fd >= 0:
                os.close(fd)
        self.fd = self._directory = -1


def part_name(destination: Destination, transfer_id: str) -> str:
    """Return the name of the part file in the destination's directory."""
    return f"{destination.name}.{transfer_id}.part"


def remove_part(destination: Destination, transfer_id: str) -> None:
    """Remove the part file of a transfer that does not have it open; none is fine."""
    directory = open_parent(destination)
    try:
        with translated("removing a part file"), contextlib.suppress(FileNotFoundError):
            os.unlink(part_name(destination, transfer_id), dir_fd=directory)
    finally:
        os.close(directory)


def find_file(destination: Destination) -> os.stat_result | None:
    """Return what is known of the file at ``destination``; None if no plain file is there."""
    directory = open_parent(destination)
    try:
        with translated(f"looking at {destination.path}"):
            try:
                found = os.stat(destination.name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                return None
    finally:
        os.close(directory)
    return found if stat.S_ISREG(found.st_mode) else None


def _check_absent(destination: Destination, directory_fd: int) -> None:
    with translated(f"looking at {destination.path}"):
        try:
            os.stat(destination.name, dir_fd=directory_fd, follow_symlinks=False)
        except FileNotFoundError:
            return
    raise _exists(destination)


def _exists(destination: Destination) -> DestinationExists:
    return DestinationExists(f"{destination.path} exists already", path=destination.path)


def _take_up(name: str, directory_fd: int) -> int | None:
    """Open an existing part file; one that can't be ours alone is removed, not written to."""
    try:
        found = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    is_ours = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid()
    if not is_ours:
        os.unlink(name, dir_fd=directory_fd)
        return None
    fd = os.open(name, _OPEN, dir_fd=directory_fd)
    if os.path.samestat(os.fstat(fd), found):
        return fd
    os.close(fd)
    raise StorageFailed(f"{name} was replaced while it was opened")
