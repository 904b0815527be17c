"""What a reader of a report has to know of the machine and the programs it was measured with."""

from __future__ import annotations

import datetime as dt
import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROOT = Path(__file__).parents[1]
_UNKNOWN = "unknown"


def machine(*, packages: Iterable[str], debian: Iterable[str]) -> dict[str, Any]:
    """Describe this machine, now, and the versions of Python packages and Debian ones."""
    return {
        "date": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "versions": {name: _package_version(name) for name in packages}
        | {name: _debian_version(name) for name in debian},
    }


def machine_line(about: dict[str, Any]) -> str:
    """Return that as a sentence; what is not installed is left out."""
    versions = [f"{name} {said}" for name, said in about["versions"].items() if said != _UNKNOWN]
    return (
        f"{about['processor']}, {about['cores']} cores, {about['memory_bytes'] >> 30} GiB; "
        f"Linux {about['kernel']}; Python {about['python']}; {', '.join(versions)}. "
        f"Load average at the end: {about['load_average'][0]:.2f}."
    )


def _commit() -> str:
    """Return the commit; a plus says that tracked files differ from it."""
    commit = _said("git", "rev-parse", "HEAD")
    is_changed = _said("git", "status", "--porcelain", "--untracked-files=no") != _UNKNOWN
    return commit + "+" * is_changed


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _package_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return _UNKNOWN


def _debian_version(name: str) -> str:
    return _said("dpkg-query", "--show", "--showformat=${Version}", name)


def _said(*words: str) -> str:
    """Return what a program says, run in this checkout; what says nothing is not known."""
    path = shutil.which(words[0])
    if path is None:
        return _UNKNOWN
    command = [path, *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_ROOT)  # noqa: S603 - ours
    return done.stdout.strip() or _UNKNOWN
