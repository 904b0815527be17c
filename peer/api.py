"""The agent's API: ``/v1/transfers``, as ``swarm/agent_client.py`` calls it.

A request is judged here before anything is written: its form, its destination and, as far as the
tracker says so at once, its image.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING

from aiohttp import web

from swarm.deadline import within
from swarm.errors import ImageUnknown, MalformedRequest, SwarmError
from swarm.messages import IMAGE_ID_PATTERN, TransferList, TransferRequest, Variant
from swarm.web import server

if TYPE_CHECKING:
    from peer.transfers.runner import Runner
    from swarm.tracker_client import TrackerClient

_LOG = logging.getLogger(__name__)

#: A request is some hundred bytes.
_LIMIT_BYTES = 64 << 10
_LOOK_UP_SECONDS = 2.0
_GLANCE_URL = re.compile(rf"glance:(?://)?({IMAGE_ID_PATTERN})")


def application(runner: Runner, tracker: TrackerClient) -> web.Application:
    """Return the application that serves ``runner``'s transfers."""
    app = server.application(limit_bytes=_LIMIT_BYTES)
    handlers = _Handlers(runner, tracker)
    app.router.add_post("/v1/transfers", handlers.create)
    app.router.add_get("/v1/transfers", handlers.list)
    app.router.add_get("/v1/transfers/{id}", handlers.show)
    app.router.add_delete("/v1/transfers/{id}", handlers.delete)
    return app


class _Handlers:
    def __init__(self, runner: Runner, tracker: TrackerClient) -> None:
        self._runner = runner
        self._tracker = tracker

    async def create(self, request: web.Request) -> web.Response:
        wait_seconds = server.wait_seconds(request)
        wanted = await server.read_body(request, TransferRequest)
        image_id = image_of(wanted)
        await self._runner.check(wanted)
        await check_image(self._tracker, image_id)
        transfer = await self._runner.create(image_id, wanted)
        await transfer.ended(wait_seconds)
        return server.json_body(
            transfer.to_document(), status=202, location=f"/v1/transfers/{transfer.id}"
        )

    async def list(self, _: web.Request) -> web.Response:
        documents = [transfer.to_document() for transfer in self._runner.list()]
        return server.json_body(TransferList(transfers=documents))

    async def show(self, request: web.Request) -> web.Response:
        wait_seconds = server.wait_seconds(request)
        transfer = self._runner.get(request.match_info["id"])
        await transfer.ended(wait_seconds)
        return server.json_body(transfer.to_document())

    async def delete(self, request: web.Request) -> web.Response:
        await self._runner.cancel(request.match_info["id"])
        return web.Response(status=204)


def image_of(request: TransferRequest) -> str:
    """Return the id of the image that is asked for.

    Raises :class:`~swarm.errors.MalformedRequest` unless exactly one of ``image_id`` and
    ``source_url`` says so.
    """
    if (request.image_id is None) == (request.source_url is None):
        raise MalformedRequest("exactly one of image_id and source_url is to be given")
    if request.image_id is not None:
        return request.image_id
    match = _GLANCE_URL.fullmatch(request.source_url or "")
    if match is None:
        raise MalformedRequest("source_url: not of the form glance:<image id>")
    return match[1]


async def check_image(tracker: TrackerClient, image_id: str) -> None:
    """Raise :class:`~swarm.errors.ImageUnknown` if the tracker is sure that there is none.

    It gets two seconds. Whatever else it says, or nothing: the transfer is taken in, and waits.
    """
    try:
        await within(_LOOK_UP_SECONDS, _look_up(tracker, image_id))
    except ImageUnknown:
        raise
    except (SwarmError, asyncio.TimeoutError) as error:
        _LOG.debug("image %s: nothing certain yet: %s", image_id, error)


async def _look_up(tracker: TrackerClient, image_id: str) -> None:
    try:
        await tracker.show_image(image_id)
    except ImageUnknown:
        # It has not heard of it; asking for its torrent makes the seeders look.
        await tracker.fetch_torrent(image_id, Variant.ORIGINAL)
