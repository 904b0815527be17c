"""A file system of a few MiB, to be filled up."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

from tests.privileges import needs_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def small_file_system(path: Path, size: int) -> Iterator[Path]:
    """Mount a tmpfs of ``size`` bytes at ``path``; without root, skip (fail in CI)."""
    needs_root("mounting a small file system")
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
