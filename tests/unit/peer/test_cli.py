"""`swarm fetch` and `swarm peer serve` as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from peer import api
from peer.fetch import destination_url, file_name
from swarm.agent_client import AgentClient
from swarm.deadline import within
from swarm.fleet import Fleet, free_port
from swarm.messages import TransferState
from swarm.web import server
from tests.images import IMAGE_ID
from tests.unit.peer.neighbourhood import AGENT_ADDRESS, Agent, agent_at, seeded, tracker_at
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from swarm.messages import TransferDocument
    from swarm.tracker_client import TrackerClient


async def start(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """Start `swarm` with these arguments."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "swarm",
        *arguments,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run `swarm` to its end; returns exit status, standard output and standard error."""
    process = await start(*arguments, **environment)
    out, err = await within(40.0, process.communicate())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def shown_when(
    client: AgentClient, transfer_id: str, condition: Callable[[TransferDocument], bool]
) -> TransferDocument:
    """Return the transfer as soon as ``condition`` holds for it."""
    deadline = asyncio.get_running_loop().time() + 20.0
    while True:
        transfer = await client.show_transfer(transfer_id)
        if condition(transfer):
            return transfer
        assert asyncio.get_running_loop().time() < deadline, transfer
        await asyncio.sleep(0.05)


@dataclass
class Served:
    """An agent with its API, and the environment in which `swarm fetch` finds it."""

    agent: Agent
    environment: dict[str, str]


@contextlib.asynccontextmanager
async def served(directory: Path, tracker: TrackerClient) -> AsyncIterator[Served]:
    """Run an agent with its API."""
    async with agent_at(directory, tracker) as agent:
        app = api.application(agent.runner, tracker)
        async with server.serving(app, address="127.0.0.1", port=0) as urls:
            yield Served(agent, {"SWARM_AGENT_URL": urls[0], "SWARM_TRACKER_URL": tracker.url})


def test_fetch_by_name_into_a_directory_and_by_id_to_a_file(tmp_path: Path) -> None:
    """Exit status 0, plain lines without a terminal, JSON where it is asked for."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path) as image,
            served(tmp_path, tracker) as here,
        ):
            root = here.agent.root
            status, out, err = await run(
                "fetch", "image.raw", "--to", str(root), **here.environment
            )
            assert (status, err) == (0, "")
            assert (root / "image.raw").read_bytes() == image.path.read_bytes()
            assert out.splitlines()[-1] == f"{root}/image.raw: 3000000 bytes, complete"
            assert "\x1b" not in out
            status, out, err = await run(
                "fetch", IMAGE_ID, "--to", f"{root}/two", "--json", **here.environment
            )
            assert (status, err) == (0, "")
            assert json.loads(out)["state"] == "complete"
            assert (root / "two").read_bytes() == image.path.read_bytes()

    asyncio.run(scenario())


def test_fetch_says_why_it_failed_and_what_to_do(tmp_path: Path) -> None:
    """Status 1 for a refusal, an unknown name, an absent agent; 2 for bad usage."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path),
            served(tmp_path, tracker) as here,
        ):
            status, _, err = await run(
                "fetch", IMAGE_ID, "--to", f"{tmp_path}/outside", **here.environment
            )
            assert status == 1
            assert "not below one of the agent's configured roots" in err
            assert "below one of the agent's configured roots." in err
            status, _, err = await run("fetch", "no-such", "--to", "x", **here.environment)
            assert status == 1
            assert "swarm image list" in err
            away = {"SWARM_AGENT_URL": f"http://127.0.0.1:{free_port('127.0.0.1')}"}
            status, _, err = await run("fetch", IMAGE_ID, "--to", "x", **here.environment | away)
            assert status == 1
            assert "swarm peer serve" in err
            assert (await run("fetch"))[0] == 2
            assert (await run("fetch", IMAGE_ID, "--to", "x", "--format", "vhd"))[0] == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_cancels_the_transfer(tmp_path: Path, number: signal.Signals) -> None:
    """And says so; with --no-wait the transfer goes on alone."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path, upload_limit=300_000),
            served(tmp_path, tracker) as here,
        ):
            runner, path = here.agent.runner, f"{here.agent.root}/disk"
            status, out, _ = await run(
                "fetch", IMAGE_ID, "--to", path, "--no-wait", **here.environment
            )
            (transfer,) = runner.list()
            assert (status, transfer.is_final) == (0, False)
            assert transfer.id in out
            await runner.cancel(transfer.id)
            await runner.cancel(transfer.id)
            process = await start("fetch", IMAGE_ID, "--to", path, **here.environment)
            await until(
                lambda: any(t.state is TransferState.DOWNLOADING for t in runner.list()),
                what="downloading",
            )
            assert process.stdout is not None
            async for line in process.stdout:
                if line.startswith(b"downloading"):
                    break
            process.send_signal(number)
            _, err = await within(20.0, process.communicate())
            assert process.returncode == 130
            assert b"is cancelled" in err
            assert [t.state for t in runner.list()] == [TransferState.CANCELLED]
            assert list(here.agent.root.iterdir()) == []

    asyncio.run(scenario())


def test_serve_refuses_to_start_with_a_sentence(tmp_path: Path) -> None:
    """Status 2 and what to set, without a traceback."""

    async def scenario() -> None:
        for arguments, word in (
            ([], "roots"),
            (["--root", str(tmp_path), "--listen-address", "10.0.0.1"], "authentication"),
            (["--root", f"{tmp_path}/missing"], "no directory"),
        ):
            state = ["--state-dir", f"{tmp_path}/state"]
            status, _, err = await run("peer", "serve", *state, *arguments)
            assert status == 2
            assert word in err
            assert "Traceback" not in err

    asyncio.run(scenario())


@pytest.mark.timeout(120)
def test_an_agent_that_is_killed_resumes_its_transfer(tmp_path: Path) -> None:
    """SIGKILL in mid-transfer: the next one goes on, and fetches only what was not saved."""

    async def scenario() -> None:
        size = 6 << 20
        root = tmp_path / "root"
        root.mkdir()
        config = tmp_path / "peer.conf"
        config.write_text("[peer]\nresume_interval = 0.2\n")
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path, size=size, upload_limit=2_000_000) as image,
            Fleet(tmp_path) as fleet,
        ):
            options = ("--config-file", str(config))

            async def agent() -> str:
                role = await fleet.start_agent(
                    tracker.url, "agent", *options, root=root, address=AGENT_ADDRESS
                )
                return role.url

            url = await agent()
            environment = {"SWARM_TRACKER_URL": tracker.url}
            path = f"{root}/disk"
            _, out, _ = await run(
                "fetch",
                IMAGE_ID,
                "--to",
                path,
                "--no-wait",
                "--json",
                "--agent",
                url,
                **environment,
            )
            transfer_id = json.loads(out)["id"]
            part = root / f"disk.{transfer_id}.part"

            async with AgentClient(url) as client:
                await shown_when(client, transfer_id, lambda t: t.progress > size // 2)
            assert part.exists()
            await fleet.roles.pop("agent").kill()
            async with AgentClient(await agent()) as client:
                done = await client.show_transfer(transfer_id, wait_seconds=30.0)
                assert done.state is TransferState.COMPLETE
                done = await shown_when(client, transfer_id, lambda t: t.downloaded > 0)
                assert done.downloaded < 0.8 * size
            assert (root / "disk").read_bytes() == image.path.read_bytes()
            assert [entry.name for entry in root.iterdir()] == ["disk"]

    asyncio.run(scenario())


def test_the_agent_does_not_load_what_costs_memory() -> None:
    """No SQLAlchemy, rich or openstacksdk on every hypervisor."""

    async def scenario() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "import sys, peer.app, peer.cli; print(sorted(sys.modules))",
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        loaded = {name.partition(".")[0] for name in eval(out)}  # noqa: S307 - our own output
        assert "libtorrent" in loaded
        assert not loaded & {"sqlalchemy", "alembic", "rich", "openstack", "keystoneauth1"}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("debian-12.qcow2", "debian-12.qcow2"),
        ("Ubuntu 24.04", "Ubuntu 24.04"),
        ("", IMAGE_ID),
        ("..", IMAGE_ID),
        ("a/b", IMAGE_ID),
        ("/etc/passwd", IMAGE_ID),
        ("line\nend", IMAGE_ID),
    ],
)
def test_a_file_is_named_for_its_image_if_that_is_a_name(name: str, expected: str) -> None:
    """A name of an image is anybody's text."""
    assert file_name(name, IMAGE_ID) == expected


def test_a_destination_url_is_quoted(tmp_path: Path) -> None:
    """So that the agent reads the same path out of it."""
    assert destination_url(tmp_path / "100% ä?#") == f"file://{tmp_path}/100%25%20%C3%A4%3F%23"
