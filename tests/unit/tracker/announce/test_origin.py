"""Where an announce comes from: who may say so for whom."""

from __future__ import annotations

import socket

import pytest

from swarm.errors import MalformedRequest
from tracker.announce.origin import Target, TrustedProxies, packed

PROXIES = TrustedProxies(["10.0.0.0/8", "fd00::/8"])


def origin(connected_from: str, *, forwarded: bytes | None = None, query: bytes = b"") -> str:
    """Return what is taken for the origin of a request."""
    address = PROXIES.origin(packed(connected_from), Target(False, b"", query, forwarded))
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, address)


def test_a_strangers_word_is_nothing() -> None:
    """Neither the header nor the query, of either family."""
    for stranger in ("192.0.2.1", "2001:db8::1"):
        assert origin(stranger, forwarded=b"198.51.100.7", query=b"ip=198.51.100.8") == stranger


def test_a_proxys_last_entry_counts() -> None:
    """Those before it are what the proxy was told, by who knows whom."""
    for proxy in ("10.1.2.3", "fd00::1"):
        assert origin(proxy, forwarded=b" 203.0.113.5,  198.51.100.7 ") == "198.51.100.7"
        assert origin(proxy, forwarded=b"2001:db8::2", query=b"ip=1.2.3.4") == "2001:db8::2"
        assert origin(proxy, forwarded=b"::ffff:198.51.100.7") == "198.51.100.7"


def test_without_the_header_the_query_counts() -> None:
    """And without both, the proxy is a client like any other."""
    assert origin("10.1.2.3", query=b"left=1&ip=198%2e51.100.7") == "198.51.100.7"
    assert origin("10.1.2.3", query=b"left=1") == "10.1.2.3"


@pytest.mark.parametrize("word", [b"", b"a, ", b"unknown", b"198.51.100.7:80", b"\xff", b"1.2.3"])
def test_what_is_no_address_is_refused(word: bytes) -> None:
    """It is not taken for the proxy's own: others would be sent to the proxy."""
    with pytest.raises(MalformedRequest, match="the proxy's word"):
        origin("10.1.2.3", forwarded=word)


def test_by_default_nobody_is_trusted() -> None:
    """Not even loopback."""
    target = Target(False, b"", b"ip=198.51.100.7", b"198.51.100.7")
    assert TrustedProxies().origin(packed("127.0.0.1"), target) == packed("127.0.0.1")
