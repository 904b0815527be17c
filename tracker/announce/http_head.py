"""The head of an HTTP request, as far as an announce needs it (RFC 9112).

Plain announces and scrapes are recognised here and nothing else is: a request that is in any way
out of the ordinary is for a real HTTP server to judge. So nothing is ever refused here. Pure.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tracker.announce.origin import Target

#: The longest head that is waited for; aiohttp's own limit for a line is 8190.
MOST_BYTES = 8192
END = b"\r\n\r\n"

#: No fragment, and in a key nothing that is spelt with a percent sign.
_REQUEST_LINE = re.compile(
    rb"GET /(announce|scrape)(?:/([\w.~-]+))?(?:\?([!\"$-~]*))? HTTP/1\.([01])"
)
_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: With one of these the request is more than its head, or wants another protocol.
_NOT_PLAIN = frozenset(
    {b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"content-encoding"}
)


class PlainGet(NamedTuple):
    """An announce or a scrape without a body."""

    target: Target
    #: Whether the client means to send another request over this connection.
    keeps_alive: bool
    #: HTTP/1.0: such a client has to be told that its connection is kept.
    is_old: bool


def parse(head: bytes) -> PlainGet | None:
    """Return what ``head`` asks, up to and without the empty line; None if it is not for us."""
    line, *fields = head.split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        return None
    name, key, query, minor = match.groups(b"")
    # What another reader may split otherwise is not ours.
    if b"\0" in head or head.count(b"\n") != len(fields) or head.count(b"\r") != len(fields):
        return None
    connection, forwarded_for = b"", None
    for field in fields:
        field_name, colon, value = field.partition(b":")
        if not colon or _FIELD_NAME.fullmatch(field_name) is None:
            return None
        lowered = field_name.lower()
        if lowered in _NOT_PLAIN:
            return None
        if lowered == b"connection":
            connection += b"," + value.lower()
        elif lowered == b"x-forwarded-for":
            forwarded_for = value
    is_old = minor == b"0"
    options = {option.strip() for option in connection.split(b",")} if connection else ()
    return PlainGet(
        Target(name == b"scrape", key, query, forwarded_for),
        b"keep-alive" in options if is_old else b"close" not in options,
        is_old,
    )
