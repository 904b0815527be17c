"""A whole deployment in a directory: the real commands, one loopback address for each agent."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from swarm.agent_client import AgentClient
from swarm.errors import ImageUnknown
from swarm.fleet import Fleet, Role
from swarm.messages import (
    ImageDocument,
    TransferDocument,
    TransferRequest,
    TransferState,
    Variant,
    VariantState,
)
from swarm.tracker_client import TrackerClient
from tests.waiting import until_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FINAL = {TransferState.COMPLETE, TransferState.FAILED, TransferState.CANCELLED}
#: A file that was just written may still be growing: the seeder waits until it has settled.
SETTLED_SECONDS = 60


class Deployment:
    """One tracker, one seeder, and agents that are started as a test needs them."""

    def __init__(self, fleet: Fleet, tracker: Role) -> None:
        self.fleet = fleet
        self.tracker = tracker
        self.api = TrackerClient(tracker.url)

    async def start_seeder(self, *options: str, conf: str = "") -> Role:
        """Start the seeder; ``conf`` is the text of its configuration file."""
        path = self.fleet.directory / "seeder.conf"
        path.write_text(f"[seeder]\npoll_interval = 0.3\n{conf}")
        return await self.fleet.start_seeder(
            self.tracker.url, "--config-file", str(path), *options, address="127.0.0.10"
        )

    async def start_agent(self, number: int, *, conf: str = "", root: Path | None = None) -> Role:
        """Start agent ``number`` at 127.0.0.<10 + number>; started again, it has its old state."""
        name = f"agent-{number}"
        root = root or self.fleet.directory / f"{name}-instances"
        root.mkdir(exist_ok=True)
        path = self.fleet.directory / f"{name}.conf"
        path.write_text(conf or "[peer]\n")
        options = ("--config-file", str(path))
        address = f"127.0.0.{10 + number}"
        return await self.fleet.start_agent(
            self.tracker.url, name, *options, root=root, address=address
        )

    def target(self, number: int, name: str) -> Path:
        """Return a path that agent ``number`` may write."""
        return self.fleet.directory / f"agent-{number}-instances" / name

    async def variant_in_state(
        self,
        image_id: str,
        state: VariantState,
        *,
        variant: Variant = Variant.ORIGINAL,
        seconds: float = 60,
    ) -> ImageDocument:
        """Wait until a variant is in ``state``, and return its image."""
        found: list[ImageDocument] = []

        async def is_there() -> bool:
            with contextlib.suppress(ImageUnknown):
                found[:] = [await self.api.show_image(image_id)]
            document = found[0].variant(variant) if found else None
            return document is not None and document.state is state

        await until_async(is_there, what=f"{image_id} is {state.value}: {found}", seconds=seconds)
        return found[0]

    async def published(self, name: str) -> ImageDocument:
        """Wait until the original of the image named ``name`` is published, and return it."""
        found: list[ImageDocument] = []

        async def is_there() -> bool:
            found[:] = await self.api.list_images(name=name)
            document = found[0].variant(Variant.ORIGINAL) if found else None
            return document is not None and document.state is VariantState.PUBLISHED

        await until_async(is_there, what=f"{name} is published: {found}", seconds=60)
        return found[0]


@contextlib.asynccontextmanager
async def deployment(directory: Path, *tracker_options: str) -> AsyncIterator[Deployment]:
    """Run a tracker in ``directory``; whatever is started beside it ends with the block."""
    async with Fleet(directory) as fleet:
        running = Deployment(fleet, await fleet.start_tracker(*tracker_options))
        async with running.api:
            yield running


async def fetch(agent: Role, request: TransferRequest, *, seconds: float = 60) -> TransferDocument:
    """Return the transfer once it has ended."""
    async with AgentClient(agent.url) as client:
        transfer = await client.create_transfer(request, wait_seconds=seconds)
        assert transfer.state in FINAL, f"not ended within {seconds} s: {transfer}"
        return transfer


def to_file(path: Path, image_id: str, **wishes: object) -> TransferRequest:
    """Return the request to bring an image to ``path``."""
    return TransferRequest.model_validate(
        {"image_id": image_id, "destination_url": path.as_uri(), **wishes}
    )
