"""What the agent refuses to start with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from peer import options
from swarm.errors import ConfigurationError
from swarm.options import list_engine_opts, load

if TYPE_CHECKING:
    from pathlib import Path


def checked(root: Path, **values: object) -> None:
    """Load a configuration with ``values`` in [peer], and check it."""
    values = {"roots": [str(root)], **values}
    overrides = [("peer", name, value) for name, value in values.items()]
    conf = load([*list_engine_opts(), *options.list_opts()], overrides=overrides)
    options.check(conf.peer)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.7", "::1", "localhost"])
def test_loopback_addresses_are_served_on(tmp_path: Path, address: str) -> None:
    """All of 127/8, ::1 and localhost."""
    checked(tmp_path, listen_address=address)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.5", "compute-7"])
def test_no_other_address_is_served_on(tmp_path: Path, address: str) -> None:
    """There is no authentication yet."""
    with pytest.raises(ConfigurationError, match="no authentication"):
        checked(tmp_path, listen_address=address)


def test_roots_must_be_there(tmp_path: Path) -> None:
    """None at all: the sentence says what to set. A relative or missing one is refused."""
    with pytest.raises(ConfigurationError, match=r"set \[peer\] roots"):
        checked(tmp_path, roots=[])
    for root in ("relative", str(tmp_path / "missing"), f"{tmp_path}/../x"):
        with pytest.raises(ConfigurationError, match="roots"):
            checked(tmp_path, roots=[root])


def test_a_mode_is_octal(tmp_path: Path) -> None:
    """And has no set-id bits."""
    assert options.file_mode("0640") == 0o640
    for text in ("0999", "rw-r--r--", "4755", "0", "-1", ""):
        with pytest.raises(ConfigurationError, match="file_mode"):
            checked(tmp_path, file_mode=text)
