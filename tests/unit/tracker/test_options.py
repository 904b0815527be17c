"""What the tracker refuses to start with."""

from __future__ import annotations

import asyncio
import logging
import stat
from typing import TYPE_CHECKING

import pytest

from swarm import options as shared
from swarm.errors import ConfigurationError
from tests.unit.tracker import lab
from tracker import app, options

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_is_known(address: str, tmp_path: Path) -> None:
    """Only this host reaches it, so nobody has to be registered to begin with."""
    assert options.is_local(lab.configuration(tmp_path, listen_address=address))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "tracker.test"])
def test_other_addresses_are_not_loopback(address: str, tmp_path: Path) -> None:
    """A name other than localhost may lead anywhere."""
    assert not options.is_local(lab.configuration(tmp_path, listen_address=address))


@pytest.mark.parametrize(
    "values",
    [
        {"min_announce_interval": 31},
        {"default_numwant": 101},
        {"swarms_url": "memory"},
        {"swarms_url": "postgresql://127.0.0.1/0"},
    ],
)
def test_contradictions_are_refused(values: dict[str, int], tmp_path: Path) -> None:
    """Rather than one option silently winning."""
    with pytest.raises(ConfigurationError):
        options.check(lab.configuration(tmp_path, **values))


def test_the_database_lives_in_the_state_directory(tmp_path: Path) -> None:
    """Unless it is told otherwise."""
    conf = lab.configuration(tmp_path)
    assert conf.tracker.database_url == f"sqlite+aiosqlite:///{tmp_path}/tracker.sqlite"


def test_a_file_sets_options_and_a_misspelt_one_is_refused(tmp_path: Path) -> None:
    """The file's words reach the role."""
    path = tmp_path / "swarm.conf"
    path.write_text("[tracker]\nannounce_interval = 7\n")
    conf = shared.load(options.list_opts(), config_files=[str(path)])
    assert conf.tracker.announce_interval == 7
    path.write_text("[tracker]\nanounce_interval = 7\n")
    with pytest.raises(ConfigurationError, match="anounce_interval"):
        shared.load(options.list_opts(), config_files=[str(path)])


def test_a_redis_url_that_is_none_is_a_configuration_error(tmp_path: Path) -> None:
    """Said before anything listens, in a sentence that names the option."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path, swarms_url="redis://127.0.0.1:port/0"):
            pass

    with pytest.raises(ConfigurationError, match="swarms_url"):
        asyncio.run(scenario())


def test_the_tracker_starts_and_says_where(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It makes its state directory, closed to others, warns when it is open, and stops."""
    state_dir = tmp_path / "state"
    conf = lab.configuration(state_dir, listen_address="0.0.0.0", open=True)
    stop = asyncio.Event()

    async def scenario() -> None:
        role = asyncio.create_task(app.serve(conf, stop))
        while not any("tracker listening on" in record.message for record in caplog.records):
            assert not role.done(), role
            await asyncio.sleep(0.01)
        stop.set()
        await role

    with caplog.at_level(logging.INFO):
        asyncio.run(scenario())
    assert stat.S_IMODE(state_dir.stat().st_mode) & 0o007 == 0
    warnings = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("open: anybody who reaches http://0.0.0.0:")


def test_a_taken_port_is_a_configuration_error(tmp_path: Path) -> None:
    """And leaves nothing running."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path / "one") as t:
            port = int(t.url.rpartition(":")[2])
            async with lab.tracker_at(tmp_path / "two", listen_port=port):
                pass

    with pytest.raises(ConfigurationError, match="can't listen"):
        asyncio.run(scenario())
