"""The directory of a destination, opened so that no symbolic link below the root is followed.

A path is a question that may be answered differently each time; a file descriptor is a directory.
So the walk from the root goes component by component, each relative to the descriptor before, and
all that is created or published later is relative to the last one.

The root itself may be a symbolic link: it is the operator's word, not a caller's.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from swarm.errors import DestinationOutsideRoots, DestinationRefused, StorageFailed

if TYPE_CHECKING:
    from peer.instance_store.destination import Destination

_DIRECTORY = os.O_DIRECTORY | os.O_CLOEXEC
_WALK = os.O_PATH | os.O_NOFOLLOW | _DIRECTORY
#: The last one is opened for reading, or else it could not be synced.
_ARRIVE = os.O_RDONLY | os.O_NOFOLLOW | _DIRECTORY


def open_parent(destination: Destination) -> int:
    """Return a descriptor of the directory that the destination is to be in; blocks.

    Raises :class:`~swarm.errors.DestinationOutsideRoots` for a symbolic link on the way, and
    :class:`~swarm.errors.DestinationRefused` if the directory is missing or may not be entered.
    """
    parents = destination.components[:-1]
    here = _open_root(destination.root, _WALK if parents else _ARRIVE)
    for depth, component in enumerate(parents, start=1):
        try:
            there = os.open(component, _ARRIVE if depth == len(parents) else _WALK, dir_fd=here)
        except OSError as error:
            walked = "/".join((destination.root.rstrip("/"), *parents[:depth]))
            raise _refusal(error, walked, component, here) from error
        finally:
            os.close(here)
        here = there
    return here


def check_same(destination: Destination, directory_fd: int) -> None:
    """Walk the way anew, and raise StorageFailed if it leads to another directory now; blocks."""
    again = open_parent(destination)
    try:
        if not os.path.samestat(os.fstat(again), os.fstat(directory_fd)):
            raise StorageFailed(
                f"the directory of {destination.path} was replaced during the transfer"
            )
    finally:
        os.close(again)


def _open_root(root: str, flags: int) -> int:
    try:
        return os.open(root, flags & ~os.O_NOFOLLOW)
    except OSError as error:
        raise StorageFailed(f"the root {root} can't be opened: {error.strerror}") from error


def _refusal(
    error: OSError, path: str, component: str, parent_fd: int
) -> DestinationRefused | DestinationOutsideRoots:
    if error.errno == errno.ENOENT:
        return DestinationRefused(f"there is no directory {path}; make it first", path=path)
    # With O_DIRECTORY a symbolic link is ENOTDIR, as any other file is.
    if error.errno in {errno.ENOTDIR, errno.ELOOP} and _is_link(component, parent_fd):
        return DestinationOutsideRoots(
            f"{path} is a symbolic link, and may lead out of the root", path=path
        )
    return DestinationRefused(f"{path}: {error.strerror}", path=path)


def _is_link(component: str, parent_fd: int) -> bool:
    try:
        found = os.stat(component, dir_fd=parent_fd, follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISLNK(found.st_mode)
