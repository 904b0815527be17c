"""How many files and connections this process may have open at one time.

Most systems start a process with a soft limit of 1024, for the sake of programs that use select(),
and let it raise that to the hard limit by itself.
"""

from __future__ import annotations

import resource


def allow_descriptors(count: int) -> int:
    """Raise the soft limit towards ``count``, if it is below; return what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return count
    if soft < count:
        soft = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft
