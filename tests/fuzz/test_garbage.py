"""Ten thousand connections that talk garbage at a real tracker: announces go on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

import pytest

from swarm.deadline import within
from swarm.fleet import Fleet
from swarm.tracker_client import TrackerClient
from tests.unit.tracker import lab

if TYPE_CHECKING:
    from pathlib import Path

CONNECTIONS = 10_000
AT_ONCE = 50
#: Each of these ends in a refusal; what a parser makes of random bytes is for it to say.
LINES = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"\x13BitTorrent protocol\r\n\r\n",
    b"GET /announce?info_hash=%zz HTTP/1.1\r\n\r\n",
    b"GET /announce?" + b"a" * 2000 + b" HTTP/1.1\r\nConnection: close\r\n\r\n",
    b"PUT /v1/images/x HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    b"POST /v1/images HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"BREW / HTTP/9.9\r\n\r\n",
    b"\r\n\r\n\r\n",
    b"GET",
]


async def pester(port: int, rng: random.Random, count: int) -> None:
    """Connect, say something and hang up, ``count`` times."""
    for _ in range(count):
        line = rng.choice([*LINES, rng.randbytes(64) + b"\r\n\r\n"])
        with contextlib.suppress(ConnectionError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(line)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            writer.close()
            await writer.wait_closed()


@pytest.mark.timeout(120)
def test_garbage_does_not_keep_announces_from_being_answered(tmp_path: Path) -> None:
    """Each of them, while it goes on and afterwards; the log has no traceback."""

    async def scenario() -> None:
        async with Fleet(tmp_path) as fleet:
            role = await fleet.start_tracker()
            async with TrackerClient(role.url) as client:
                await client.register_image(lab.describe())
                key = (await lab.publish(client)).announce_hash
                port = int(role.url.rpartition(":")[2])
                pesterers = [
                    asyncio.create_task(pester(port, random.Random(n), CONNECTIONS // AT_ONCE))
                    for n in range(AT_ONCE)
                ]
                answered = 0
                while not all(task.done() for task in pesterers):
                    answer = await within(10, lab.announce(client, key, port=1 + answered % 999))
                    assert b"interval" in answer
                    answered += 1
                for task in pesterers:
                    task.result()
                assert answered > 10, "the premise: announces were made meanwhile"
                assert await within(10, client.list_images())
            fleet.check()
            assert "Traceback" not in role.log.read_text()

    asyncio.run(scenario())
