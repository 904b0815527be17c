"""The demo: tracker, seeder and agents as separate processes; one image to all agents at once.

It is a user of the project like any other: it starts the real commands and speaks to their APIs.
What it prints as figures it measured in that run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from swarm.agent_client import AgentClient
from swarm.demo.screen import Board, print_summary
from swarm.errors import NoSpace, RoleFailed, SwarmError
from swarm.fleet import Fleet, Role
from swarm.hashing import digest_of
from swarm.messages import (
    ImageDocument,
    SeedDocument,
    TransferDocument,
    TransferRequest,
    TransferState,
    Variant,
    VariantState,
)
from swarm.seeder_client import SeederClient
from swarm.tracker_client import TrackerClient

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_BYTES = 4 << 20
_LOOK_SECONDS = 0.2
_PUBLISH_SECONDS = 3600.0
#: Longer than the engine takes to renew its figures.
_FIGURES_SECONDS = 0.7
_MOST_LOOKS = 10
#: Loopback addresses of the agents: 127.0.0.11, .12 and so on; the seeder is 127.0.0.10.
_FIRST_AGENT = 11
FINAL = frozenset({TransferState.COMPLETE, TransferState.FAILED, TransferState.CANCELLED})


@dataclass(frozen=True)
class Delivery:
    """One image at one agent: the transfer at its end, and whether the file is the source's."""

    agent: str
    transfer: TransferDocument
    seconds: float
    is_identical: bool


@dataclass
class Outcome:
    """What the demo measured for one image."""

    name: str
    size: int
    seconds: float = 0.0
    conversion_seconds: float | None = None
    uploaded_by_seeder: int = 0
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Every agent has the image, and every copy is the source's."""
        return bool(self.deliveries) and all(d.is_identical for d in self.deliveries)


def run_demo(images: list[Path], *, agents: int, size_bytes: int, directory: Path | None) -> int:
    """Run the demo and return the exit status: 0 only if every copy is identical."""
    console = Console()
    try:
        return asyncio.run(_run(console, images, agents, size_bytes, directory))
    except SwarmError as error:
        console.print(f"[red]{error.detail}[/red]\n{error.remedy}", highlight=False)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Stopped; every process has ended.")
        return 130


async def _run(
    console: Console, images: list[Path], agents: int, size_bytes: int, directory: Path | None
) -> int:
    _cancel_on_sigterm()
    with _workplace(directory) as work:
        total = size_bytes + sum(image.stat().st_size for image in images)
        await asyncio.to_thread(_check_space, work, size_bytes + agents * total)
        source = work / "images"
        source.mkdir(exist_ok=True)
        if size_bytes:
            with console.status(f"generating an image of {size_bytes >> 20} MiB"):
                await asyncio.to_thread(_generate, source / "generated.raw", size_bytes)
        for image in images:
            _offer(source, image)
        offered = await asyncio.to_thread(lambda: sorted(source.iterdir()))
        async with Fleet(work) as fleet:
            return await _show(console, fleet, offered, agents)


def _cancel_on_sigterm() -> None:
    """Let SIGTERM unwind the demo as Ctrl-C does, so that no process stays behind."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


@contextlib.contextmanager
def _workplace(directory: Path | None) -> Iterator[Path]:
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        yield directory.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="glance-swarm-demo-") as path:
        yield Path(path)


def _check_space(directory: Path, needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise NoSpace(
            f"the demo needs {needed >> 20} MiB in {directory}, where {free >> 20} MiB are free; "
            "set TMPDIR or --directory to a larger place, or choose a smaller --size",
            path=str(directory),
        )


def _generate(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for start in range(0, size, _CHUNK_BYTES):
            file.write(os.urandom(min(_CHUNK_BYTES, size - start)))
    # Older than what the seeder takes for a file that is still being written.
    settled = time.time() - 60
    os.utime(path, (settled, settled))


def _offer(source: Path, image: Path) -> None:
    link = source / image.name
    link.unlink(missing_ok=True)
    link.symlink_to(image.resolve())


async def _show(console: Console, fleet: Fleet, offered: list[Path], agents: int) -> int:
    with console.status(f"starting a tracker, a seeder and {agents} peer agents"):
        tracker = await fleet.start_tracker()
        await asyncio.gather(
            *(_start_agent(fleet, tracker, number) for number in range(1, agents + 1))
        )
        # Last: it begins to convert at once, and is to be measured without the others' starts.
        options = ("--directory", str(offered[0].parent), "--source", "directory")
        seeder = await fleet.start_seeder(tracker.url, *options, address="127.0.0.10")
    outcomes = []
    async with TrackerClient(tracker.url) as api, SeederClient(seeder.url) as seeds:
        for path in offered:
            with console.status(f"converting {path.name}: one pass, all hashes"):
                image = await _published(fleet, api, path)
            with Board(console, image) as board:
                outcomes.append(await _deliver(fleet, seeds, image, path, board))
    fleet.check()
    memory = {name: role.peak_memory_bytes() for name, role in fleet.roles.items()}
    for outcome in outcomes:
        print_summary(console, outcome)
    console.print("Peak memory, MiB: " + ", ".join(f"{n} {b >> 20}" for n, b in memory.items()))
    return 0 if all(outcome.is_good for outcome in outcomes) else 1


async def _start_agent(fleet: Fleet, tracker: Role, number: int) -> None:
    name = f"agent-{number}"
    root = fleet.directory / f"{name}-instances"
    root.mkdir(exist_ok=True)
    address = f"127.0.0.{_FIRST_AGENT + number - 1}"
    await fleet.start_agent(tracker.url, name, root=root, address=address)


async def _published(fleet: Fleet, tracker: TrackerClient, path: Path) -> ImageDocument:
    """Wait until the seeder has published the image of ``path``."""
    deadline = time.monotonic() + _PUBLISH_SECONDS
    while time.monotonic() < deadline:
        fleet.check()
        for image in await tracker.list_images(name=path.name):
            variant = image.variant(Variant.ORIGINAL)
            if variant is not None and variant.state is VariantState.PUBLISHED:
                return image
            if variant is not None and variant.state is VariantState.FAILED:
                raise RoleFailed(f"{path.name} was refused: {variant.reason}")
        await asyncio.sleep(_LOOK_SECONDS)
    raise RoleFailed(f"{path.name} was not published within {_PUBLISH_SECONDS:.0f} s")


async def _deliver(
    fleet: Fleet, seeds: SeederClient, image: ImageDocument, path: Path, board: Board
) -> Outcome:
    """Ask every agent for ``image`` at once, watch, and compare what they wrote."""
    agents = [role for name, role in fleet.roles.items() if name.startswith("agent-")]
    start = time.monotonic()
    fetching = asyncio.gather(*(_fetch(agent, image, board, start) for agent in agents))
    watching = asyncio.ensure_future(_watch_seeder(fleet, seeds, image, board))
    both: set[asyncio.Future[Any]] = {fetching, watching}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()  # raises: it ends only when a role did
        ended = fetching.result()
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
    seconds = max(delivered for _, _, delivered in ended)
    seed = await _settled(seeds, image)
    digest = await asyncio.to_thread(digest_of, path)
    outcome = Outcome(image.name, image.size, seconds)
    if seed is not None:
        outcome.uploaded_by_seeder = seed.uploaded
        outcome.conversion_seconds = seed.conversion_seconds
    for agent, transfer, delivered in ended:
        is_identical = await asyncio.to_thread(_matches, transfer, digest)
        outcome.deliveries.append(Delivery(agent, transfer, delivered, is_identical))
    return outcome


async def _fetch(
    role: Role, image: ImageDocument, board: Board, start: float
) -> tuple[str, TransferDocument, float]:
    """Return the agent's name, its transfer at the end, and the seconds until then."""
    target = role.log.parent / f"{role.name}-instances" / image.id
    request = TransferRequest(image_id=image.id, destination_url=target.as_uri())
    async with AgentClient(role.url) as agent:
        transfer = await agent.create_transfer(request)
        while transfer.state not in FINAL:
            board.show_agent(role.name, transfer)
            transfer = await agent.show_transfer(transfer.id, wait_seconds=_LOOK_SECONDS)
        board.show_agent(role.name, transfer)
        return role.name, transfer, time.monotonic() - start


async def _watch_seeder(
    fleet: Fleet, seeds: SeederClient, image: ImageDocument, board: Board
) -> None:
    """Keep the seeder's line up to date; raises when a role has ended."""
    while True:
        fleet.check()
        seed = await _seed_of(seeds, image)
        if seed is not None:
            board.show_seeder(seed)
        await asyncio.sleep(_LOOK_SECONDS)


async def _settled(seeds: SeederClient, image: ImageDocument) -> SeedDocument | None:
    """Return the seed once its figures stand still: they lag behind the bytes by up to 0.5 s."""
    seed = await _seed_of(seeds, image)
    for _ in range(_MOST_LOOKS):
        await asyncio.sleep(_FIGURES_SECONDS)
        before, seed = seed, await _seed_of(seeds, image)
        if before is not None and seed is not None and seed.uploaded == before.uploaded > 0:
            break
    return seed


async def _seed_of(seeds: SeederClient, image: ImageDocument) -> SeedDocument | None:
    found = (seed for seed in await seeds.list_seeds() if seed.image_id == image.id)
    return next((seed for seed in found if seed.variant is Variant.ORIGINAL), None)


def _matches(transfer: TransferDocument, digest: str) -> bool:
    if transfer.state is not TransferState.COMPLETE:
        return False
    return digest_of(Path(transfer.destination_url[len("file://") :])) == digest
