"""`swarm tracker serve` as a process, and `swarm image` against it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import libtorrent as lt
import pytest

from swarm import bencode
from swarm.messages import Variant, VariantReport
from swarm.torrent_version import TorrentVersion
from swarm.tracker_client import TrackerClient
from tests.unit.tracker import lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SWARM = [sys.executable, "-c", "from swarm.cli import main; main()"]


def swarm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the `swarm` command to its end."""
    return subprocess.run(
        [*SWARM, *arguments], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def tracker_url(tmp_path: Path) -> Iterator[str]:
    """Run a tracker process; it must end by SIGTERM with status 0."""
    arguments = ["tracker", "serve", "--listen-port", "0", "--state-dir", str(tmp_path / "state")]
    with subprocess.Popen([*SWARM, *arguments], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := re.search(r"tracker listening on (\S+)", line):
                    yield found[1]
                    break
            else:
                pytest.fail("the tracker ended before it listened")
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
        finally:
            process.kill()


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


@pytest.mark.parametrize(
    "arguments",
    [
        ["--listen-address", "0.0.0.0"],
        ["--listen-port", "70000"],
        ["--state-dir", "/proc/no/where"],
    ],
)
def test_a_misconfigured_tracker_does_not_start(tmp_path: Path, arguments: list[str]) -> None:
    """Exit status 2 and one line."""
    given = ["--state-dir", str(tmp_path), *arguments]
    ended = swarm("tracker", "serve", *given)
    assert ended.returncode == 2
    assert ended.stderr.startswith("Error: ")
    assert ended.stderr.count("\n") == 1
