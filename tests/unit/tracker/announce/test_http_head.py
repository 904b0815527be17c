"""Which requests are plain announces, and what they say; anything else is for aiohttp."""

from __future__ import annotations

import pytest

from tracker.announce import http_head
from tracker.announce.http_head import PlainGet
from tracker.announce.origin import Target


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (
            b"GET /announce?a=b HTTP/1.1\r\nHost: t",
            PlainGet(Target(False, b"", b"a=b", None), True, False),
        ),
        (b"GET /announce HTTP/1.1", PlainGet(Target(False, b"", b"", None), True, False)),
        (
            b"GET /scrape/k-._~1?x HTTP/1.1",
            PlainGet(Target(True, b"k-._~1", b"x", None), True, False),
        ),
        (
            b"GET /announce?a HTTP/1.1\r\nConnection: foo , Close",
            PlainGet(Target(False, b"", b"a", None), False, False),
        ),
        (b"GET /announce?a HTTP/1.0", PlainGet(Target(False, b"", b"a", None), False, True)),
        (
            b"GET /announce?a HTTP/1.0\r\nconnection:Keep-Alive",
            PlainGet(Target(False, b"", b"a", None), True, True),
        ),
        (
            b"GET /announce?a HTTP/1.1\r\nX-Forwarded-For: 1\r\nx-forwarded-for: 2, 3",
            PlainGet(Target(False, b"", b"a", b" 2, 3"), True, False),
        ),
        (
            b"GET /announce?%00?/!~ HTTP/1.1",
            PlainGet(Target(False, b"", b"%00?/!~", None), True, False),
        ),
    ],
)
def test_plain_announces_are_read(head: bytes, expected: PlainGet) -> None:
    """Path, key and query as they came; and whether the connection is kept."""
    assert http_head.parse(head) == expected


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.1",
        b"GET /v1/images HTTP/1.1",
        b"GET /announcements HTTP/1.1",
        b"GET /announce/ HTTP/1.1",
        b"GET /announce/a/b HTTP/1.1",
        b"GET /announce/a%2fb HTTP/1.1",
        b"GET http://t/announce HTTP/1.1",
        b"POST /announce HTTP/1.1",
        b"HEAD /announce HTTP/1.1",
        b"get /announce HTTP/1.1",
        b"GET /announce",
        b"GET /announce HTTP/2.0",
        b"GET  /announce HTTP/1.1",
        b"GET /announce?a b HTTP/1.1",
        b"GET /announce?a#b HTTP/1.1",
        b"GET /announce?\xff HTTP/1.1",
        b"GET /announce?\x00 HTTP/1.1",
        b"GET /announce?a HTTP/1.1\r\nContent-Length: 0",
        b"GET /announce?a HTTP/1.1\r\nTransfer-Encoding: chunked",
        b"GET /announce?a HTTP/1.1\r\nExpect: 100-continue",
        b"GET /announce?a HTTP/1.1\r\nUpgrade: websocket",
        b"GET /announce?a HTTP/1.1\r\nno colon",
        b"GET /announce?a HTTP/1.1\r\nContent-Length : 5",
        b"GET /announce?a HTTP/1.1\r\nA: b\r\n folded: c",
        b"GET /announce?a HTTP/1.1\r\nA: b\nContent-Length: 5",
        b"GET /announce?a HTTP/1.1\r\nA: b\rContent-Length: 5",
        b"\r\nGET /announce?a HTTP/1.1",
    ],
)
def test_whatever_is_not_plain_is_left_alone(head: bytes) -> None:
    """Also what two readers may take for two different things."""
    assert http_head.parse(head) is None
