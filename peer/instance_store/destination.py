"""Destination URLs: which file a caller means, judged by its text alone.

Pure. What the file system has to say - symbolic links, existing files - is for ``directory.py`` and
``part_file.py``.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from swarm.errors import DestinationOutsideRoots, DestinationRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

#: NAME_MAX of Linux is 255 bytes; the part file's name is 42 bytes longer than the final one.
LONGEST_NAME_BYTES = 255 - 42

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Destination(NamedTuple):
    """A file below a root: it does not exist yet, or it would not be a destination."""

    root: str
    #: From the root to the file, at least one; none is ``.`` or ``..``.
    components: tuple[str, ...]

    @property
    def path(self) -> str:
        """Absolute path of the file."""
        return os.path.join(self.root, *self.components)  # noqa: PTH118 - text, not a file

    @property
    def name(self) -> str:
        """Last component."""
        return self.components[-1]


def parse_destination(url: str, roots: Iterable[str]) -> Destination:
    """Return the destination that ``url`` names; ``roots`` are absolute paths of directories.

    Raises :class:`~swarm.errors.DestinationRefused` for what is not ``file:///absolute/path`` of a
    file, and :class:`~swarm.errors.DestinationOutsideRoots`.
    """
    path = _path_of(url)
    components = tuple(path.split("/")[1:])
    _check_components(path, components)
    matching = [root for root in roots if _is_below(components, _split_root(root))]
    if not matching:
        raise DestinationOutsideRoots(
            f"{path} is not below one of the agent's configured roots", path=path
        )
    root = max(matching, key=len)
    return Destination(root, components[len(_split_root(root)) :])


def _path_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise DestinationRefused(f"not a URL: {url!r:.200}") from error
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        raise DestinationRefused(f"{url!r:.200} is not of the form file:///absolute/path")
    if "?" in url or "#" in url:
        raise DestinationRefused("a ? or # in a file's name is written %3F or %23 in its URL")
    if _BROKEN_ESCAPE.search(parts.path):
        raise DestinationRefused("a % in a file's name is written %25 in its URL")
    try:
        path = unquote_to_bytes(parts.path).decode()
    except UnicodeDecodeError as error:
        raise DestinationRefused("the file's name is not UTF-8") from error
    # urlsplit() drops tabs and line ends silently, so the URL itself is looked at too.
    if _CONTROL.search(path) or _CONTROL.search(url):
        raise DestinationRefused("there is a control character in the file's name")
    if not path.startswith("/"):
        raise DestinationRefused(f"{url!r:.200} is not of the form file:///absolute/path")
    return path


def _check_components(path: str, components: tuple[str, ...]) -> None:
    if components[-1] == "":
        raise DestinationRefused(f"{path} ends in a slash: name the file, not its directory")
    if ".." in components:
        raise DestinationOutsideRoots(f"{path}: a destination has no '..' in it", path=path)
    if "" in components or "." in components:
        raise DestinationRefused(f"{path}: there is an empty or '.' component")
    if len(os.fsencode(components[-1])) > LONGEST_NAME_BYTES:
        raise DestinationRefused(f"the file's name is longer than {LONGEST_NAME_BYTES} bytes")


def _split_root(root: str) -> tuple[str, ...]:
    return tuple(part for part in root.split("/") if part)


def _is_below(components: tuple[str, ...], root: tuple[str, ...]) -> bool:
    return len(components) > len(root) and components[: len(root)] == root
