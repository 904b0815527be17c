"""A key or token in a file of its own, so that no configuration and no command line shows it."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from swarm.errors import ConfigurationError
from swarm.node_key import is_key

if TYPE_CHECKING:
    from oslo_config import cfg

_LOG = logging.getLogger(__name__)

#: Far longer than any token of ours; a file given by mistake is not read to its end.
_MOST_CHARACTERS = 4096


def read_token(path: str | Path) -> str:
    """Return what the file holds, without the white space around it.

    Warns if others than the file's owner can read it. Raises
    :class:`~swarm.errors.ConfigurationError` if it can't be read, or holds no token.
    """
    try:
        with Path(path).open() as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                _LOG.warning("%s can be read by others than its owner: chmod 600 it", path)
            token = file.read(_MOST_CHARACTERS).strip()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError:
        token = ""
    return checked_token(token, str(path))


def checked_token(token: str, where: str) -> str:
    """Return a token that can be sent.

    Raises :class:`~swarm.errors.ConfigurationError` for one that can't; it does not quote it.
    """
    if not is_sendable(token):
        raise ConfigurationError(f"{where}: there is no key or token, or more than that")
    return token


def is_sendable(token: str) -> bool:
    """Tell whether a token can stand in a header: printable ASCII without a space."""
    return bool(token) and token.isascii() and token.isprintable() and " " not in token


def node_key(conf: cfg.ConfigOpts) -> str | None:
    """Return the key that ``[swarm]`` gives this node, None if it gives none; reads a file.

    Raises :class:`~swarm.errors.ConfigurationError` for what is no key; it does not quote it.
    """
    path = conf.swarm.node_key_file
    key = read_token(path) if path else conf.swarm.node_key
    if not key:
        return None
    if not is_key(key):
        where = path or "[swarm] node_key"
        raise ConfigurationError(f"{where}: that is not a key of `swarm node add` or `rotate`")
    return str(key)
