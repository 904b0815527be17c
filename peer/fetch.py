"""`swarm fetch`: ask the agent for a transfer, follow it to its end, cancel it on Ctrl-C.

Arguments are for ``cli.py``, the screen is for ``progress_view.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from swarm.agent_client import AgentClient
from swarm.blocking import to_the_end
from swarm.deadline import within
from swarm.errors import AgentUnreachable, SwarmError
from swarm.messages import TransferRequest, TransferState, is_image_id
from swarm.tracker_client import TrackerClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from swarm.messages import TransferDocument

_POLL_SECONDS = 0.5
#: An agent that is restarted goes on with the transfer; so long is it waited for.
_AGENT_AWAY_SECONDS = 60.0
_CANCEL_SECONDS = 15.0

ENDED = frozenset({TransferState.COMPLETE, TransferState.FAILED, TransferState.CANCELLED})


class Interrupted(Exception):
    """SIGINT or SIGTERM came; the transfer is cancelled."""

    def __init__(self, transfer_id: str, *, is_cancelled: bool) -> None:
        super().__init__(transfer_id)
        self.transfer_id = transfer_id
        #: False if the agent could not be told.
        self.is_cancelled = is_cancelled


class Target(NamedTuple):
    """Where ``--to`` points."""

    #: Absolute.
    path: Path
    #: Then the file in it is to have the image's name.
    is_directory: bool


def target_of(to: str) -> Target:
    """Return what ``to`` means here: a file to make, or a directory for it."""
    path = Path(os.path.abspath(to))  # noqa: PTH100 - symbolic links are for the agent to refuse
    return Target(path, to.endswith("/") or path.is_dir())


async def resolve(
    image: str, target: Target, *, tracker_url: str, token: str | None = None
) -> tuple[str, Path]:
    """Return the id of ``image`` and the path of the file to make.

    The tracker is asked only for what is not said: the id of a name, or the name of a file. Raises
    :class:`~swarm.errors.ImageUnknown` or :class:`~swarm.errors.TrackerUnreachable`.
    """
    if is_image_id(image) and not target.is_directory:
        return image, target.path
    async with TrackerClient(tracker_url, token=token) as tracker:
        found = await tracker.find_image(image)
    name = file_name(found.name, found.id)
    return found.id, target.path / name if target.is_directory else target.path


def file_name(image_name: str, image_id: str) -> str:
    """Return the name of the file for an image: its own name, if that is a name of a file."""
    is_usable = image_name.isprintable() and "/" not in image_name
    return image_name if is_usable and image_name not in {"", ".", ".."} else image_id


def destination_url(path: Path) -> str:
    """Return the URL of an absolute path."""
    return "file://" + quote(str(path))


async def fetch(
    agent_url: str, request: TransferRequest, show: Callable[[TransferDocument], None]
) -> TransferDocument:
    """Return the transfer once it has ended; ``show`` gets it now and then until it has.

    Raises :class:`Interrupted` after a signal, and what the agent says of the request.
    """
    started: list[TransferDocument] = []

    async def follow() -> TransferDocument:
        # To its end: what the agent has taken in can be cancelled only by its id.
        await to_the_end(create())
        return await _follow(agent, started[0], show)

    async def create() -> None:
        started.append(await agent.create_transfer(request))

    async with AgentClient(agent_url) as agent:
        task = asyncio.ensure_future(follow())
        with _signals(task):
            try:
                return await task
            except asyncio.CancelledError:
                done = bool(started) and await _cancel(agent, started[0].id)
                raise Interrupted(
                    started[0].id if started else "(refused)", is_cancelled=done
                ) from None


async def start(agent_url: str, request: TransferRequest) -> TransferDocument:
    """Return the transfer as soon as the agent has taken it in."""
    async with AgentClient(agent_url) as agent:
        return await agent.create_transfer(request)


async def _follow(
    agent: AgentClient, transfer: TransferDocument, show: Callable[[TransferDocument], None]
) -> TransferDocument:
    loop = asyncio.get_running_loop()
    heard = loop.time()
    show(transfer)
    while transfer.state not in ENDED:
        is_patient = loop.time() - heard < _AGENT_AWAY_SECONDS
        news = await _look(agent, transfer.id, is_patient=is_patient)
        if news is not None:
            transfer, heard = news, loop.time()
            show(transfer)
    return transfer


async def _look(
    agent: AgentClient, transfer_id: str, *, is_patient: bool
) -> TransferDocument | None:
    """Return the transfer; None, after a pause, if the agent is away and that is no matter yet."""
    try:
        return await agent.show_transfer(transfer_id, wait_seconds=_POLL_SECONDS)
    except AgentUnreachable:
        if not is_patient:
            raise
    await asyncio.sleep(_POLL_SECONDS)
    return None


async def _cancel(agent: AgentClient, transfer_id: str) -> bool:
    try:
        await within(_CANCEL_SECONDS, agent.cancel_transfer(transfer_id))
    except (SwarmError, asyncio.TimeoutError):
        return False
    return True


@contextlib.contextmanager
def _signals(task: asyncio.Future[TransferDocument]) -> Iterator[None]:
    """Let SIGINT and SIGTERM cancel ``task`` while the block runs."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
