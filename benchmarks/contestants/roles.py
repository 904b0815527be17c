"""Ourselves: tracker, seeder and agents as an operator starts them, each node with a key."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from swarm.agent_client import AgentClient
from swarm.errors import RoleFailed
from swarm.fleet import Fleet
from swarm.link_rate import MEGABIT
from swarm.messages import (
    NodeDescription,
    TransferRequest,
    TransferState,
    Variant,
    VariantState,
)
from swarm.tracker_client import TrackerClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.lab.image import Image
    from benchmarks.lab.lab import Lab
    from benchmarks.lab.plan import Host
    from swarm.fleet import Role

_TOKEN = "an-operator-of-a-lab"  # noqa: S105 - of this lab only
_TRACKER_PORT = 6969
_PUBLISH_SECONDS = 120.0
_WAIT_SECONDS = 60.0
_FINAL = {TransferState.COMPLETE, TransferState.FAILED, TransferState.CANCELLED}
_LOOK_SECONDS = 0.1


class Roles:
    """The service in a lab."""

    def __init__(
        self, lab: Lab, fleet: Fleet, api: TrackerClient, clients: contextlib.AsyncExitStack
    ) -> None:
        self._lab = lab
        self._fleet = fleet
        self._api = api
        self._clients = clients
        self._agents: dict[str, AgentClient] = {}

    async def offer(self, image: Image) -> None:
        """Wait until the seeder has published the image, and seeds it.

        Files that were removed since the last one are seeded no more.
        """
        await asyncio.gather(*map(_forget_removed, self._agents.values()))
        deadline = time.monotonic() + _PUBLISH_SECONDS
        while time.monotonic() < deadline:
            self._fleet.check()
            for found in await self._api.list_images(name=image.path.name):
                variant = found.variant(Variant.ORIGINAL)
                if variant is not None and variant.state is VariantState.PUBLISHED:
                    await self._seeded(image)
                    return
            await asyncio.sleep(_LOOK_SECONDS)
        raise RoleFailed(f"{image.path.name} was not published within {_PUBLISH_SECONDS:.0f} s")

    async def _seeded(self, image: Image) -> None:
        while not any(swarm.seeders for swarm in (await self._api.show_swarm(image.id)).variants):
            await asyncio.sleep(_LOOK_SECONDS)

    async def fetch(self, image: Image, host: Host) -> Path:
        """Ask the host's agent, as nova-compute would, and wait."""
        return await self.request(image, host)

    async def request(self, image: Image, host: Host, *, name: str | None = None) -> Path:
        """Ask for an image under a name of its own at the destination."""
        target = self._lab.root(host) / (name or image.path.name)
        wish = TransferRequest(image_id=image.id, destination_url=target.as_uri())
        client = self._agents[host.name]
        transfer = await client.create_transfer(wish, wait_seconds=_WAIT_SECONDS)
        while transfer.state not in _FINAL:
            transfer = await client.show_transfer(transfer.id, wait_seconds=_WAIT_SECONDS)
        if transfer.state is not TransferState.COMPLETE:
            raise RoleFailed(f"agent of {host.name}: {transfer}")
        return target

    async def start(self, conf: dict[str, str]) -> None:
        """Start the seeder and the agents; ``conf`` is text for the roles' files."""
        await self._start_seeder(conf.get("seeder", ""))
        await asyncio.gather(
            *(self._start_agent(host, conf.get("agent", "")) for host in self._lab.hosts)
        )

    async def leave_source(self) -> None:
        """End the seeder as a crash would."""
        await self._fleet.roles["seeder"].kill()

    async def _start_seeder(self, conf: str) -> None:
        source = self._lab.plan.source
        path = await self._register(source, may_publish=True)
        path.write_text(f"{path.read_text()}[seeder]\npoll_interval = 0.3\n{conf}\n")
        options = ("--config-file", str(path), "--directory", str(self._lab.images))
        role = await self._fleet.start_seeder(
            self._api.url,
            *options,
            address=source.address,
            netns=self._lab.netns(source),
        )
        self._count("seeder", role)

    async def _start_agent(self, host: Host, conf: str) -> None:
        path = await self._register(host)
        path.write_text(f"{path.read_text()}{conf}\n")
        role = await self._fleet.start_agent(
            self._api.url,
            host.name,
            *("--config-file", str(path)),
            root=self._lab.root(host),
            address=host.address,
            api_address="127.0.0.1",
            netns=self._lab.netns(host),
        )
        self._count("agent", role)
        client = AgentClient(role.url, netns=role.netns)
        self._agents[host.name] = await self._clients.enter_async_context(client)

    def _count(self, name: str, role: Role) -> None:
        self._lab.roles[role.process.pid] = name

    async def _register(self, host: Host, *, may_publish: bool = False) -> Path:
        """Register a node; return its configuration file, which has its key."""
        node = NodeDescription(
            name=host.name, rack=host.rack, addresses=[host.address], may_publish=may_publish
        )
        created = await self._api.add_node(node)
        path = self._fleet.directory / f"{host.name}.conf"
        path.touch(mode=0o600)
        # A veth says that it carries 10 Gbit/s, whatever its shaper does; a real card knows.
        rate = host.rate // MEGABIT
        path.write_text(f"[swarm]\nnode_key = {created.key}\n[engine]\nlink_rate = {rate}\n")
        return path


async def _forget_removed(client: AgentClient) -> None:
    for transfer in await client.list_transfers():
        path = Path(unquote(urlsplit(transfer.destination_url).path))
        if transfer.state in _FINAL and not path.exists():
            await client.cancel_transfer(transfer.id)


@contextlib.asynccontextmanager
async def roles(
    lab: Lab, *, tracker: str = "", seeder: str = "", agent: str = ""
) -> AsyncIterator[Roles]:
    """Start all roles; what is given is added to their configuration files."""
    # One of its own: what an earlier fleet of this lab has registered is not known to this one.
    directory = Path(tempfile.mkdtemp(prefix="roles-", dir=lab.directory))
    conf = directory / "tracker.conf"
    conf.write_text(f"[tracker]\noperator_token = {_TOKEN}\n{tracker}\n")
    host = lab.plan.tracker
    async with Fleet(directory) as fleet, contextlib.AsyncExitStack() as stack:
        role = await fleet.start_tracker(
            *("--config-file", str(conf)),
            address=host.address,
            port=_TRACKER_PORT,
            netns=lab.netns(host),
        )
        lab.roles[role.process.pid] = "tracker"
        api = TrackerClient(role.url, token=_TOKEN, netns=lab.netns(host))
        service = Roles(lab, fleet, await stack.enter_async_context(api), stack)
        await service.start({"seeder": seeder, "agent": agent})
        try:
            yield service
        finally:
            for running in fleet.roles.values():
                lab.roles.pop(running.process.pid, None)
