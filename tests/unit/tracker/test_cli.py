"""`swarm tracker serve` as a process, and `swarm image` against it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import libtorrent as lt
import pytest

from swarm import bencode
from swarm.messages import Variant, VariantReport
from swarm.torrent_version import TorrentVersion
from swarm.tracker_client import TrackerClient
from tests.unit.tracker import lab
from tests.unit.tracker.command import swarm, tracker_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def tracker_url(tmp_path: Path) -> Iterator[str]:
    """Run a tracker process."""
    with tracker_process(tmp_path / "state") as url:
        yield url


def test_images_are_listed_and_shown(tracker_url: str) -> None:
    """As a table with the reason of a failure, and as JSON for programs."""
    hostile = "[bold]deb\x1b[2Jian"

    async def prepare() -> None:
        async with TrackerClient(tracker_url) as client:
            await client.register_image(lab.describe(name=hostile))
            await lab.publish(client)
            report = VariantReport.model_validate({"state": "failed", "reason": "no room left"})
            await client.report_variant(lab.IMAGE, Variant.RAW, report)

    asyncio.run(prepare())
    table = swarm("image", "list", "--tracker-url", tracker_url)
    assert table.returncode == 0, table.stderr
    assert lab.IMAGE in table.stdout
    assert "published" in table.stdout
    assert "raw: failed: no room left" in table.stdout
    assert "[bold]" in table.stdout
    assert "\x1b" not in table.stdout
    listed = swarm("image", "list", "--tracker-url", tracker_url, "--json")
    shown = swarm("image", "show", hostile, "--tracker-url", tracker_url, "--json")
    assert json.loads(listed.stdout)["images"] == [json.loads(shown.stdout)]
    assert json.loads(shown.stdout)["id"] == lab.IMAGE
    missing = swarm("image", "show", lab.OTHER, "--tracker-url", tracker_url)
    assert missing.returncode == 1
    assert lab.OTHER in missing.stderr
    assert "Traceback" not in missing.stderr


def test_a_torrent_for_other_clients_is_written(tracker_url: str, tmp_path: Path) -> None:
    """The published info dict, and where to announce; nothing is written for a bad URL."""

    async def prepare() -> bytes:
        async with TrackerClient(tracker_url) as client:
            await client.register_image(lab.describe())
            return (await lab.publish(client, version=TorrentVersion.HYBRID)).data

    published = bencode.decode(asyncio.run(prepare()))
    file = tmp_path / "debian.torrent"
    command = ["image", "torrent", "debian-12", "--tracker-url", tracker_url, "--output", str(file)]
    bad = swarm(*command, "--announce", "ftp://tracker.example/")
    assert bad.returncode == 1
    assert "ftp://" in bad.stderr
    assert not file.exists()
    ours, others = f"{tracker_url}/announce", ["udp://t.example:6969", "http://t.example/announce"]
    for given, expected in (([], [ours]), (others, others)):
        written = swarm(*command, *(word for url in given for word in ("--announce", url)))
        assert written.returncode == 0, written.stderr
        torrent = bencode.decode(file.read_bytes())
        assert isinstance(torrent, dict)
        assert torrent.pop(b"announce") == expected[0].encode()
        assert torrent.pop(b"announce-list") == [[url.encode()] for url in expected]
        assert torrent == published
        assert lt.load_torrent_buffer(file.read_bytes()).trackers == expected


def test_swarms_are_listed_and_shown(tracker_url: str) -> None:
    """As tables, the second with a line for each rack, and as JSON for programs."""

    async def prepare() -> None:
        async with TrackerClient(tracker_url) as client:
            await client.register_image(lab.describe())
            made = await lab.publish(client)
            await lab.announce(client, made.announce_hash, port=1, left=0)
            await lab.announce(client, made.announce_hash, port=2, left=len(lab.BYTES))

    asyncio.run(prepare())
    at = ("--tracker-url", tracker_url)
    listed = swarm("swarm", "list", *at)
    assert listed.returncode == 0, listed.stderr
    assert lab.IMAGE in listed.stdout
    shown = swarm("swarm", "show", "debian-12", *at)
    assert shown.returncode == 0, shown.stderr
    assert "(unknown)" in shown.stdout
    assert "50.0" in shown.stdout
    (summary,) = json.loads(swarm("swarm", "list", *at, "--json").stdout)["swarms"]
    (variant,) = json.loads(swarm("swarm", "show", lab.IMAGE, *at, "--json").stdout)["variants"]
    assert (summary["seeders"], summary["leechers"]) == (1, 1)
    assert (variant["racks"][0]["rack"], variant["held_percent"]) == ("", 50)
    missing = swarm("swarm", "show", lab.OTHER, *at)
    assert missing.returncode == 1
    assert lab.OTHER in missing.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--listen-address", "no address!"],
        ["--listen-port", "70000"],
        ["--state-dir", "/proc/no/where"],
    ],
)
def test_a_misconfigured_tracker_does_not_start(tmp_path: Path, arguments: list[str]) -> None:
    """Exit status 2, and the last line says why."""
    given = ["--state-dir", str(tmp_path), *arguments]
    ended = swarm("tracker", "serve", *given)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in ended.stderr
