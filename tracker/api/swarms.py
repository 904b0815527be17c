"""`/v1/swarms`: who has how much of what is published, at this moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from swarm.errors import ImageUnknown
from swarm.messages import (
    IMAGE_ID_PATTERN,
    ImageId,
    Message,
    SwarmDocument,
    SwarmList,
    SwarmSummary,
    Variant,
    is_image_id,
)
from swarm.web.routes import Access, Route
from swarm.web.server import json_body, read_query
from tracker.swarms.peer import IPV4_BYTES, IPV6_BYTES
from tracker.swarms.view import view

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from tracker.registry.repository import Published, Registry
    from tracker.swarms.store import Counts, Swarms

_VARIANTS = "|".join(variant.value for variant in Variant)
Marker = Annotated[str, StringConstraints(pattern=rf"^{IMAGE_ID_PATTERN}\.(?:{_VARIANTS})$")]
#: Any address of each family: it says which peers are counted.
_FAMILIES = (bytes(IPV4_BYTES), bytes(IPV6_BYTES))


class PageQuery(Message):
    """Which page."""

    limit: int = Field(100, ge=1, le=1000, description="most torrents in the answer")
    marker: Marker | None = Field(None, description="the `next_marker` of the page before")


def _nowhere(_: bytes) -> str:
    return ""


class SwarmsApi:
    """The handlers. ``rack_of`` returns the rack of an address, empty if it is not known."""

    def __init__(
        self, registry: Registry, swarms: Swarms, *, rack_of: Callable[[bytes], str] = _nowhere
    ) -> None:
        self._registry = registry
        self._swarms = swarms
        self._rack_of = rack_of

    def routes(self) -> list[Route]:
        """Return the table."""
        return [
            Route(
                "GET",
                "/v1/swarms",
                self._list,
                "Each published torrent, and how many have it",
                Access.NODE,
                query=PageQuery,
                answer=SwarmList,
                problems=(503,),
            ),
            Route(
                "GET",
                "/v1/swarms/{image_id}",
                self._show,
                "How much of an image is where",
                Access.NODE,
                path_types={"image_id": ImageId},
                answer=SwarmDocument,
                problems=(404, 503),
            ),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        page = read_query(request, PageQuery)
        image_id, _, variant = (page.marker or ".").partition(".")
        # One more than asked for shows whether there is another page.
        found = await self._registry.list_published(limit=page.limit + 1, after=(image_id, variant))
        shown = found[: page.limit]
        last = shown[-1] if len(found) > page.limit else None
        return json_body(
            SwarmList(
                swarms=await self._summaries(shown),
                next_marker=last and f"{last.image_id}.{last.document.variant.value}",
            )
        )

    async def _summaries(self, shown: list[Published]) -> list[SwarmSummary]:
        hashes = [key for torrent in shown for key in torrent.document.announce_hashes]
        families = [await self._swarms.scrape(hashes, address) for address in _FAMILIES]
        return [_summary(torrent, families) for torrent in shown]

    async def _show(self, request: web.Request) -> web.Response:
        image_id = request.match_info["image_id"]
        image = await self._registry.find_image(image_id) if is_image_id(image_id) else None
        if image is None:
            raise ImageUnknown(f"image {image_id[:64]} is not registered", image_id=image_id[:64])
        variants = []
        for document in image.variants:
            if document.info_hash is not None:
                keys = sorted(document.announce_hashes)
                found = [await self._swarms.members(key) for key in keys]
                variants.append(view(document, found, self._rack_of))
        return json_body(SwarmDocument(image_id=image.id, name=image.name, variants=variants))


def _summary(torrent: Published, families: list[dict[bytes, Counts]]) -> SwarmSummary:
    document = torrent.document
    swarms = [
        [counts[key] for counts in families if key in counts] for key in document.announce_hashes
    ]
    # Nodes of ours are in both swarms of a hybrid torrent; so the larger one has them all.
    seeders, leechers, completed = (
        max(sum(one[index] for one in swarm) for swarm in swarms) for index in range(3)
    )

    return SwarmSummary(
        image_id=torrent.image_id,
        name=torrent.name,
        variant=document.variant,
        info_hash=document.info_hash or "",
        size=document.size or 0,
        seeders=seeders,
        leechers=leechers,
        completed=completed,
    )
