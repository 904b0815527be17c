"""The operator's token: configured, or made at the first start and kept in the state directory."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from typing import TYPE_CHECKING

from swarm.errors import ConfigurationError
from swarm.token_file import is_sendable, read_token

if TYPE_CHECKING:
    from pathlib import Path

_LOG = logging.getLogger(__name__)

FILE_NAME = "operator.token"
_PREFIX = "gso_"
_RANDOM_BYTES = 32
_FEWEST_CHARACTERS = 16


def operator_token(configured: str, state_dir: Path) -> str:
    """Return the token: ``configured``, else that of the file, which is made if it is missing.

    Raises :class:`~swarm.errors.ConfigurationError` for one that is too short or can't be sent, or
    a file that can't be read or written; the token is never shown.
    """
    if configured:
        return _checked(configured, "[tracker] operator_token")
    path = state_dir / FILE_NAME
    try:
        if not path.exists():
            _make(path)
    except OSError as error:
        raise ConfigurationError(f"operator's token: {path}: {error.strerror}") from error
    token = _checked(read_token(path), str(path))
    _LOG.info("the operator's token is in %s", path)
    return token


def _checked(token: str, where: str) -> str:
    if len(token) < _FEWEST_CHARACTERS or not is_sendable(token):
        raise ConfigurationError(
            f"{where}: a token has {_FEWEST_CHARACTERS} printable ASCII characters or more, "
            "and no space"
        )
    return token


def _make(path: Path) -> None:
    """Write a new token; whoever reads sees no file, or a whole one.

    The link fails if another tracker made one meanwhile: then that is the token.
    """
    token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    draft = path.with_name(f".{FILE_NAME}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
