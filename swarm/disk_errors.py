"""What a file system says, in our words: one place that knows a full disk from a broken one."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from swarm.errors import NoSpace, StorageFailed, SwarmError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL = {errno.ENOSPC, errno.EDQUOT}


def disk_error(what: str, number: int | None, words: str) -> SwarmError:
    """Return the error for errno ``number``; ``what`` is what was being done, or to which file."""
    cls = NoSpace if number in _FULL else StorageFailed
    return cls(f"{what}: {words}")


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise what the block's OSError means: NoSpace or StorageFailed."""
    try:
        yield
    except OSError as error:
        raise disk_error(what, error.errno, error.strerror or str(error)) from error
