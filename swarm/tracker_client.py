"""The tracker's API and control channel, from the other side: for seeders, agents and operators."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

import aiohttp
import pydantic

from swarm import errors
from swarm.http_client import HttpClient
from swarm.messages import (
    Convert,
    Hello,
    ImageDescription,
    ImageDocument,
    ImageList,
    Refusal,
    Variant,
    VariantDocument,
    VariantReport,
    is_image_id,
)

_LOG = logging.getLogger(__name__)

#: Called for each demand; returns why it is refused, or None once it is taken on.
OnConvert = Callable[[Convert], Awaitable["Refusal | None"]]

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_HEARTBEAT_SECONDS = 15.0


class TrackerClient(HttpClient):
    """What the tracker does for its nodes.

    ::

        async with TrackerClient("http://127.0.0.1:6969") as tracker:
            image = await tracker.find_image("debian-12")
            metainfo = await tracker.fetch_torrent(image.id, Variant.RAW, wait_seconds=600)

    Each method raises the error that the tracker's problem document names, or
    :class:`~swarm.errors.TrackerUnreachable`.
    """

    unreachable = errors.TrackerUnreachable

    @property
    def announce_url(self) -> str:
        """Where libtorrent announces; its path starts with /announce (ssrf_mitigation)."""
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

    async def serve_demands(
        self, node: str, on_convert: OnConvert, *, on_connect: Callable[[], None] | None = None
    ) -> None:
        """Stay on the control channel as seeder ``node``; runs until cancelled.

        Demands are answered one after the other by ``on_convert``, which is to return soon: it
        queues the work. A lost channel is taken up again, with a pause that doubles up to 10 s.
        """
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self.session.ws_connect(
                    f"{self.url}/v1/control", heartbeat=_HEARTBEAT_SECONDS
                ) as channel:
                    await channel.send_str(Hello(role="seeder", node=node).model_dump_json())
                    _LOG.info("control channel to %s is up", self.url)
                    pause = _FIRST_PAUSE_SECONDS
                    if on_connect is not None:
                        on_connect()
                    await _answer(channel, on_convert)
                _LOG.warning("control channel to %s was closed", self.url)
            except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
                _LOG.warning(
                    "control channel to %s: %s", self.url, str(error) or type(error).__name__
                )
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


async def _answer(channel: aiohttp.ClientWebSocketResponse[bool], on_convert: OnConvert) -> None:
    async for message in channel:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        try:
            demand = Convert.model_validate_json(message.data)
        except pydantic.ValidationError:
            # A newer tracker may say more than we understand.
            _LOG.warning("control channel: message not understood: %.200s", message.data)
            continue
        refusal = await on_convert(demand)
        if refusal is not None:
            await channel.send_str(refusal.model_dump_json())
