"""From a real Glance to instance storage: what the project is for."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from swarm.deadline import within
from swarm.messages import TransferState, Variant, VariantState
from tests.glance_service import GlanceService, glance_service
from tests.images import write_random
from tests.integration.deployment import Deployment, deployment, fetch, to_file
from tests.waiting import until_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

# The first run also makes Glance's virtual environment.
pytestmark = pytest.mark.timeout(600)

MIB = 1 << 20


@pytest.fixture(scope="module")
def glance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlanceService]:
    """Return a running Glance that shows no locations: its bytes come over HTTP."""
    with glance_service(tmp_path_factory.mktemp("glance"), show_image_direct_url=False) as service:
        yield service


def with_glance(
    directory: Path,
    glance: GlanceService,
    scene: Callable[[Deployment], Awaitable[None]],
    *,
    conf: str = "",
) -> None:
    """Run ``scene`` in a deployment whose seeder takes its images from ``glance``."""
    endpoint = f"[glance]\nauth_type = none\nendpoint_override = {glance.url}\n"

    async def run() -> None:
        async with deployment(directory) as running:
            await running.start_seeder(conf=f"source = glance\n{conf}\n{endpoint}")
            await scene(running)

    asyncio.run(run())


def test_an_image_reaches_two_agents(tmp_path: Path, glance: GlanceService) -> None:
    """Created by the API, converted, fetched by two agents: three equal files, one download."""
    source = write_random(tmp_path / "source", 24 * MIB + 77)
    image_id = glance.create_image("debian", source, "raw")

    async def scene(running: Deployment) -> None:
        image = await running.variant_in_state(image_id, VariantState.PUBLISHED)
        assert image.os_hash_value == glance.show_image(image_id)["os_hash_value"]
        document = image.variant(Variant.ORIGINAL)
        assert document is not None
        assert document.hash_value == image.os_hash_value
        agents = [await running.start_agent(1), await running.start_agent(2)]
        targets = [running.target(1, "disk"), running.target(2, "disk")]
        ended = await asyncio.gather(
            *(
                fetch(agent, to_file(target, image_id, verify="full"))
                for agent, target in zip(agents, targets, strict=True)
            )
        )
        assert [transfer.state for transfer in ended] == [TransferState.COMPLETE] * 2
        assert [transfer.progress for transfer in ended] == [24 * MIB + 77] * 2
        for target in targets:
            assert target.read_bytes() == source.read_bytes()
        assert glance.downloads(image_id) == 1

    with_glance(tmp_path, glance, scene)


def test_a_corrupt_image_is_never_published(tmp_path: Path, glance: GlanceService) -> None:
    """Bytes that do not match Glance's hash: failed, with the reason, and no transfer of them."""
    image_id = glance.create_image("rotten", write_random(tmp_path / "source", 5 * MIB), "raw")
    glance.corrupt(image_id)

    async def scene(running: Deployment) -> None:
        image = await running.variant_in_state(image_id, VariantState.FAILED)
        document = image.variant(Variant.ORIGINAL)
        assert document is not None
        assert document.info_hash is None
        assert "sha512" in (document.reason or "")
        agent = await running.start_agent(1)
        transfer = await fetch(agent, to_file(running.target(1, "disk"), image_id))
        assert transfer.state is TransferState.FAILED
        assert transfer.failure is not None
        assert transfer.failure.code == "image_failed"
        assert "sha512" in transfer.failure.reason
        assert list(running.target(1, "").iterdir()) == []

    with_glance(tmp_path, glance, scene)


def test_an_image_is_converted_on_demand(tmp_path: Path, glance: GlanceService) -> None:
    """With convert = on_demand nothing is read from Glance until an agent asks."""
    source = write_random(tmp_path / "source", 3 * MIB)
    image_id = glance.create_image("lazy", source, "raw")

    async def scene(running: Deployment) -> None:
        agent = await running.start_agent(1)
        assert glance.downloads(image_id) == 0
        transfer = await fetch(agent, to_file(running.target(1, "disk"), image_id))
        assert transfer.state is TransferState.COMPLETE, transfer
        assert running.target(1, "disk").read_bytes() == source.read_bytes()
        assert glance.downloads(image_id) == 1

    with_glance(tmp_path, glance, scene, conf="convert = on_demand")


def test_a_qcow2_image_arrives_raw_where_that_is_wished(
    tmp_path: Path, glance: GlanceService
) -> None:
    """The destination's wish decides the variant; the seeder converts, once."""
    raw = write_random(tmp_path / "raw", 4 * MIB)
    with raw.open("ab") as file:
        file.truncate(32 * MIB)
    qcow2 = tmp_path / "qcow2"
    convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2]
    subprocess.run(convert, check=True)
    image_id = glance.create_image("cloud", qcow2, "qcow2")

    async def scene(running: Deployment) -> None:
        agents = [await running.start_agent(1), await running.start_agent(2)]
        wishes = [(1, "raw"), (1, "as_is"), (2, "raw")]
        ended = await asyncio.gather(
            *(
                fetch(
                    agents[number - 1],
                    to_file(running.target(number, wish), image_id, destination_format=wish),
                )
                for number, wish in wishes
            )
        )
        assert [transfer.state for transfer in ended] == [TransferState.COMPLETE] * 3, ended
        for number in (1, 2):
            assert running.target(number, "raw").read_bytes() == raw.read_bytes()
        assert running.target(1, "as_is").read_bytes() == qcow2.read_bytes()
        assert [transfer.variant for transfer in ended] == [
            Variant.RAW,
            Variant.ORIGINAL,
            Variant.RAW,
        ]

    with_glance(tmp_path, glance, scene)


def test_a_deleted_image_is_withdrawn(tmp_path: Path, glance: GlanceService) -> None:
    """What Glance no longer has is no longer listed, and no longer handed out."""
    image_id = glance.create_image("gone", write_random(tmp_path / "source", MIB), "raw")

    async def scene(running: Deployment) -> None:
        await running.variant_in_state(image_id, VariantState.PUBLISHED)
        glance.delete_image(image_id)

        async def is_gone() -> bool:
            return image_id not in [image.id for image in await running.api.list_images()]

        await until_async(is_gone, what="withdrawn", seconds=30)

    with_glance(tmp_path, glance, scene)


def test_the_command_line_lists_and_fetches(tmp_path: Path, glance: GlanceService) -> None:
    """`swarm image list` and `swarm fetch NAME` as a person uses them."""
    source = write_random(tmp_path / "source", 2 * MIB)
    image_id = glance.create_image("by-name", source, "raw")

    async def scene(running: Deployment) -> None:
        await running.variant_in_state(image_id, VariantState.PUBLISHED)
        agent = await running.start_agent(1)
        tracker = ["--tracker-url", running.tracker.url]
        listed = await swarm("image", "list", "--json", *tracker)
        assert image_id in json.dumps(json.loads(listed[1]))
        target = running.target(1, "disk")
        command = ["fetch", "by-name", "--to", str(target), "--agent", agent.url, *tracker]
        status, output = await swarm(*command)
        assert status == 0, output
        assert target.read_bytes() == source.read_bytes()
        status, output = await swarm(*command)
        assert status == 1
        assert "exists" in output
        status, output = await swarm("fetch", "no-such", *command[2:])
        assert status == 1
        assert "no-such" in output

    with_glance(tmp_path, glance, scene)


async def swarm(*arguments: str) -> tuple[int | None, str]:
    """Run the `swarm` command; return its exit status and all it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "swarm", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await within(60, process.communicate())
    return process.returncode, output.decode()
