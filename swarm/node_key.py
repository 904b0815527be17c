"""Keys of nodes: what a node shows the tracker to be let in.

A key goes into the path of an announce and into the Authorization header, so it is made of what
needs no quoting in either. The tracker keeps its SHA-256 only: a key has 256 random bits, which no
dictionary holds, so a slow or salted hash would add nothing. A key is never logged, and no error or
repr shows it.
"""

from __future__ import annotations

import hashlib
import re
import secrets

_PREFIX = "gsw_"
_RANDOM_BYTES = 32
#: 32 bytes in base64url without padding are 43 characters.
KEY_PATTERN = r"gsw_[A-Za-z0-9_-]{43}"
KEY_LENGTH = len(_PREFIX) + 43


def new_key() -> str:
    """Return a key that nobody has."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def is_key(text: str) -> bool:
    """Tell whether ``text`` has the form of a node's key."""
    return re.fullmatch(KEY_PATTERN, text) is not None


def hash_of(key: str | bytes) -> str:
    """Return what the tracker keeps of a key: its SHA-256, 64 hex digits."""
    data = key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key
    return hashlib.sha256(data).hexdigest()
