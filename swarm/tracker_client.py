"""The tracker's API, from the other side: for seeders, agents and operators."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from swarm import errors, event_stream
from swarm.http_client import HttpClient
from swarm.messages import (
    ImageDescription,
    ImageDocument,
    ImageList,
    NodeCreated,
    NodeDescription,
    NodeDocument,
    NodeList,
    NodeRotation,
    SwarmDocument,
    SwarmList,
    SwarmSummary,
    Variant,
    VariantDocument,
    VariantReport,
    is_image_id,
)
from swarm.node_key import is_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from swarm.events import Event

#: Torrents that are asked for at once.
_PAGE = 1000


class TrackerClient(HttpClient):
    """What the tracker does for its nodes.

    ::

        async with TrackerClient("http://127.0.0.1:6969", token=key) as tracker:
            image = await tracker.find_image("debian-12")
            metainfo = await tracker.fetch_torrent(image.id, Variant.RAW, wait_seconds=600)

    Each method raises the error that the tracker's problem document names, or
    :class:`~swarm.errors.TrackerUnreachable`.
    """

    unreachable = errors.TrackerUnreachable

    @property
    def announce_url(self) -> str:
        """Where libtorrent announces; its path starts with /announce (ssrf_mitigation).

        With a node's key as token the key is in it (an operator's token is not): don't log it.
        """
        if self._token is not None and is_key(self._token):
            return f"{self.url}/announce/{self._token}"
        return f"{self.url}/announce"

    async def list_images(self, *, name: str | None = None) -> list[ImageDocument]:
        """Return all images, newest first, or those of one name."""
        query = {} if name is None else {"name": name}
        return (await self.call_for(ImageList, "GET", "/v1/images", query=query)).images

    async def show_image(self, image_id: str) -> ImageDocument:
        """Return one image. Raises :class:`~swarm.errors.ImageUnknown`."""
        return await self.call_for(ImageDocument, "GET", f"/v1/images/{image_id}")

    async def find_image(self, name_or_id: str) -> ImageDocument:
        """Return the image of that id, or the newest one of that name.

        Raises :class:`~swarm.errors.ImageUnknown`.
        """
        if is_image_id(name_or_id):
            return await self.show_image(name_or_id)
        named = await self.list_images(name=name_or_id)
        if not named:
            raise errors.ImageUnknown(f"no image has the name {name_or_id!r}")
        return named[0]

    async def fetch_torrent(
        self, image_id: str, variant: Variant, *, wait_seconds: float = 0.0
    ) -> bytes:
        """Return the metainfo of a variant; one that is not converted yet is asked for.

        Raises :class:`~swarm.errors.ImageNotReady` if it is not published within ``wait_seconds``,
        :class:`~swarm.errors.ImageUnknown`, :class:`~swarm.errors.ImageFailed` or
        :class:`~swarm.errors.NoSeeder`.
        """
        return await self.call(
            "GET",
            f"/v1/images/{image_id}/torrent",
            query={"variant": variant.value, "wait": f"{wait_seconds:g}"},
            wait_seconds=wait_seconds,
        )

    async def register_image(self, image: ImageDescription) -> ImageDocument:
        """Make an image known, or bring its description up to date."""
        return await self.call_for(ImageDocument, "PUT", f"/v1/images/{image.id}", body=image)

    async def report_variant(self, image_id: str, variant: Variant, report: VariantReport) -> None:
        """Say how far a conversion is. A published variant stays published."""
        await self.call("PUT", f"/v1/images/{image_id}/variants/{variant.value}", body=report)

    async def publish_torrent(
        self, image_id: str, variant: Variant, metainfo: bytes, *, hash_algo: str, hash_value: str
    ) -> VariantDocument:
        """Publish the metainfo of a variant; the same one twice is the same as once.

        ``hash_algo`` and ``hash_value`` are of the variant's whole bytes. Raises
        :class:`~swarm.errors.TorrentConflict` if it was published with another info-hash, and
        :class:`~swarm.errors.MetainfoError` if it is not what the tracker accepts.
        """
        return await self.call_for(
            VariantDocument,
            "PUT",
            f"/v1/images/{image_id}/torrent",
            body=metainfo,
            query={"variant": variant.value, "hash_algo": hash_algo, "hash_value": hash_value},
        )

    async def withdraw_image(self, image_id: str) -> None:
        """Remove an image and its torrents: announces for them are refused from now on."""
        await self.call("DELETE", f"/v1/images/{image_id}")

    async def list_swarms(self) -> list[SwarmSummary]:
        """Return each published torrent and how many have it, by image id and variant."""
        swarms: list[SwarmSummary] = []
        query = {"limit": str(_PAGE)}
        while True:
            page = await self.call_for(SwarmList, "GET", "/v1/swarms", query=query)
            swarms += page.swarms
            if page.next_marker is None:
                return swarms
            query["marker"] = page.next_marker

    async def show_swarm(self, image_id: str) -> SwarmDocument:
        """Return how much of an image is where. Raises :class:`~swarm.errors.ImageUnknown`."""
        return await self.call_for(SwarmDocument, "GET", f"/v1/swarms/{image_id}")

    def events(
        self, types: Iterable[str] = (), *, after: str | None = None
    ) -> AsyncIterator[Event]:
        """Yield what happens from now on, or after the event with the id ``after``, without end.

        ``types`` are types or families of :mod:`swarm.events`; none means all. A lost connection is
        taken up again; what may have been missed is an :class:`~swarm.events.EventsMissed`. Raises
        the error of a tracker that refuses, :class:`~swarm.errors.Forbidden` for one.
        """
        query = {"type": ",".join(types)} if types else {}
        return event_stream.follow(self, "/v1/events", query, after=after)

    async def list_nodes(self) -> list[NodeDocument]:
        """Return all nodes by name; this and what follows is for operators."""
        return (await self.call_for(NodeList, "GET", "/v1/nodes")).nodes

    async def show_node(self, name: str) -> NodeDocument:
        """Return one node. Raises :class:`~swarm.errors.NodeUnknown`, as do those below."""
        return await self.call_for(NodeDocument, "GET", _node(name))

    async def add_node(self, node: NodeDescription) -> NodeCreated:
        """Register a node; the answer has its key, which can't be asked for again.

        Raises :class:`~swarm.errors.Conflict` if its name or one of its addresses is taken.
        """
        return await self.call_for(NodeCreated, "POST", "/v1/nodes", body=node)

    async def rotate_node(self, name: str, rotation: NodeRotation) -> NodeCreated:
        """Give a node a new key, while the old one goes on for a grace."""
        return await self.call_for(NodeCreated, "POST", f"{_node(name)}/rotate", body=rotation)

    async def revoke_node(self, name: str) -> NodeDocument:
        """End all keys of a node at once."""
        return await self.call_for(NodeDocument, "POST", f"{_node(name)}/revoke")

    async def remove_node(self, name: str) -> None:
        """Remove a node and its keys."""
        await self.call("DELETE", _node(name))


def _node(name: str) -> str:
    return f"/v1/nodes/{quote(name, safe='')}"
