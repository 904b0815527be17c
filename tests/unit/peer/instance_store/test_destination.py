"""Destination URLs, judged by their text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.instance_store.destination import LONGEST_NAME_BYTES, parse_destination
from swarm.errors import DestinationOutsideRoots, DestinationRefused

ROOTS = ["/srv/images", "/srv/images/deep/er", "/var/lib"]


@pytest.mark.parametrize(
    ("url", "root", "components"),
    [
        ("file:///srv/images/disk", "/srv/images", ("disk",)),
        ("file://localhost/srv/images/a/b", "/srv/images", ("a", "b")),
        ("file:/srv/images/disk", "/srv/images", ("disk",)),
        ("FILE:///srv/images/disk", "/srv/images", ("disk",)),
        ("file:///srv/images/deep/er/disk", "/srv/images/deep/er", ("disk",)),
        ("file:///srv/images/with%20space%25%3F%23", "/srv/images", ("with space%?#",)),
        ("file:///srv/images/%C3%A4", "/srv/images", ("ä",)),
        ("file:///srv/images/..disk", "/srv/images", ("..disk",)),
    ],
)
def test_a_file_below_a_root(url: str, root: str, components: tuple[str, ...]) -> None:
    """The nearest root counts; names are percent-decoded."""
    found = parse_destination(url, ROOTS)
    assert (found.root, found.components) == (root, components)
    assert found.path == "/".join((root, *components))
    assert found.name == components[-1]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "file:///srv/images",
        "file:///srv/imagesque/disk",
        "file:///srv/images/../../etc/passwd",
        "file:///srv/images/%2e%2e/disk",
        "file:///srv/images/a/..",
    ],
)
def test_outside_the_roots(url: str) -> None:
    """Not below one, the root itself, or by way of `..`, however it is written."""
    with pytest.raises(DestinationOutsideRoots):
        parse_destination(url, ROOTS)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "disk",
        "/srv/images/disk",
        "http://localhost/srv/images/disk",
        "file://elsewhere/srv/images/disk",
        "file://user@localhost/srv/images/disk",
        "file://localhost:80/srv/images/disk",
        "file:srv/images/disk",
        "file:///srv/images/disk/",
        "file:///srv/images//disk",
        "file:////srv/images/disk",
        "file:///srv/images/./disk",
        "file:///srv/images/disk?x",
        "file:///srv/images/disk#x",
        "file:///srv/images/100%",
        "file:///srv/images/%zz",
        "file:///srv/images/%00",
        "file:///srv/images/a%0Ab",
        "file:///srv/images/a\nb",
        "file:///srv/images/%ff",
        "file:///srv/images/" + "x" * (LONGEST_NAME_BYTES + 1),
        "file://[/srv/images/disk",
    ],
)
def test_no_destination_at_all(url: str) -> None:
    """Another scheme, a host, a directory, something that could be read in two ways."""
    with pytest.raises(DestinationRefused):
        parse_destination(url, ROOTS)


def test_the_whole_file_system_can_be_a_root() -> None:
    """`/` is a root like any other."""
    assert parse_destination("file:///a/b", ["/"]).path == "/a/b"


@given(st.text(max_size=60))
def test_any_text_is_refused_or_stays_below_its_root(text: str) -> None:
    """Only errors of ours, and never a path that leaves the root."""
    try:
        found = parse_destination("file:///srv/images/" + text, ROOTS)
    except DestinationRefused:
        return
    assert not {"", ".", ".."} & set(found.components)
    assert all("/" not in component and "\0" not in component for component in found.components)
