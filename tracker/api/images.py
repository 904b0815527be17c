"""`/v1/images`: what seeders write, and agents and operators read."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

import pydantic
from aiohttp import web
from pydantic import Field

from swarm.errors import ImageUnknown, MalformedRequest, Unavailable
from swarm.messages import (
    Hex,
    ImageDescription,
    ImageList,
    Message,
    Text,
    Variant,
    VariantReport,
    is_image_id,
)
from swarm.web.server import explain, json_body, problem_response, read_body, wait_seconds

if TYPE_CHECKING:
    from tracker.catalogue import Catalogue
    from tracker.conversions import Conversions

_MOST_WAIT_SECONDS = 600.0
_RETRY_SECONDS = 2
_TORRENT = "application/x-bittorrent"


class ContentHash(Message):
    """The hash of a variant's whole bytes, in the query of a publication."""

    hash_algo: Annotated[Text, Field(min_length=1)]
    hash_value: Annotated[Hex, Field(min_length=1)]


class ImagesApi:
    """The handlers."""

    def __init__(self, catalogue: Catalogue, conversions: Conversions) -> None:
        self._catalogue = catalogue
        self._conversions = conversions

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_get("/v1/images", self._list)
        router.add_get("/v1/images/{id}", self._show)
        router.add_put("/v1/images/{id}", self._register)
        router.add_delete("/v1/images/{id}", self._withdraw)
        router.add_put("/v1/images/{id}/variants/{variant}", self._report)
        router.add_get("/v1/images/{id}/torrent", self._fetch_torrent, allow_head=False)
        router.add_put("/v1/images/{id}/torrent", self._publish)

    async def _list(self, request: web.Request) -> web.Response:
        images = await self._catalogue.list_images(name=request.query.get("name"))
        return json_body(ImageList(images=images))

    async def _show(self, request: web.Request) -> web.Response:
        return json_body(await self._catalogue.show_image(_image_id(request)))

    async def _register(self, request: web.Request) -> web.Response:
        image_id = _image_id(request)
        image = await read_body(request, ImageDescription)
        if image.id != image_id:
            raise MalformedRequest(f"id: {image.id}, but the path names {image_id}")
        return json_body(await self._catalogue.register(image))

    async def _withdraw(self, request: web.Request) -> web.Response:
        await self._catalogue.withdraw(_image_id(request))
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _report(self, request: web.Request) -> web.Response:
        image_id, variant = _image_id(request), _variant(request.match_info["variant"])
        report = await read_body(request, VariantReport)
        return json_body(await self._catalogue.report(image_id, variant, report))

    async def _fetch_torrent(self, request: web.Request) -> web.Response:
        image_id, variant = _image_id(request), _variant(request.query.get("variant"))
        seconds = wait_seconds(request, most=_MOST_WAIT_SECONDS)
        try:
            data = await self._conversions.torrent(image_id, variant, wait_seconds=seconds)
        except Unavailable as error:
            response = problem_response(error)
            response.headers["Retry-After"] = str(_RETRY_SECONDS)
            return response
        return web.Response(body=data, content_type=_TORRENT)

    async def _publish(self, request: web.Request) -> web.Response:
        image_id, variant = _image_id(request), _variant(request.query.get("variant"))
        content = _content_hash(request)
        document = await self._catalogue.publish(
            image_id,
            variant,
            await request.read(),
            hash_algo=content.hash_algo,
            hash_value=content.hash_value,
        )
        return json_body(document)


def _image_id(request: web.Request) -> str:
    image_id = request.match_info["id"]
    if not is_image_id(image_id):
        raise ImageUnknown(f"{image_id[:64]!r} is not an image id, which is a UUID in lower case")
    return image_id


def _variant(text: str | None) -> Variant:
    try:
        return Variant(text)
    except ValueError:
        known = ", ".join(variant.value for variant in Variant)
        raise MalformedRequest(f"variant: {text!r:.40} is not one of: {known}") from None


def _content_hash(request: web.Request) -> ContentHash:
    names = ContentHash.model_fields.keys() & request.query.keys()
    try:
        return ContentHash.model_validate({name: request.query[name] for name in names})
    except pydantic.ValidationError as error:
        raise MalformedRequest(explain(error)) from error
