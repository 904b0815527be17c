"""`/v1/images`: what seeders write, and agents and operators read."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from aiohttp import web
from pydantic import Field

from swarm.errors import ImageUnknown, MalformedRequest, Unavailable
from swarm.messages import (
    Hex,
    ImageDescription,
    ImageDocument,
    ImageId,
    ImageList,
    Message,
    Text,
    Variant,
    VariantDocument,
    VariantReport,
    is_image_id,
)
from swarm.web.routes import Access, Route
from swarm.web.server import (
    json_body,
    problem_response,
    read_body,
    read_bytes,
    read_query,
    wait_seconds,
)

if TYPE_CHECKING:
    from tracker.catalogue import Catalogue
    from tracker.conversions import Conversions

_MOST_WAIT_SECONDS = 600.0
_RETRY_SECONDS = 2
_TORRENT = "application/x-bittorrent"


class NameQuery(Message):
    """Which images to list."""

    name: Text | None = Field(None, description="only those of this name")


class TorrentQuery(Message):
    """Which torrent, and how long to wait for it."""

    variant: Variant
    wait: float = Field(
        0.0, ge=0, le=86400, description=f"seconds, of which {_MOST_WAIT_SECONDS:.0f} are waited"
    )


class Publication(Message):
    """What is published, and the hash of the variant's whole bytes."""

    variant: Variant
    hash_algo: Annotated[Text, Field(min_length=1)]
    hash_value: Annotated[Hex, Field(min_length=1)]


class ImagesApi:
    """The handlers."""

    def __init__(self, catalogue: Catalogue, conversions: Conversions) -> None:
        self._catalogue = catalogue
        self._conversions = conversions

    def routes(self) -> list[Route]:
        """Return the table."""
        one, torrent = "/v1/images/{id}", "/v1/images/{id}/torrent"
        ids = {"id": ImageId}
        return [
            Route(
                "GET",
                "/v1/images",
                self._list,
                "All images, or those of one name, newest first",
                Access.NODE,
                query=NameQuery,
                answer=ImageList,
            ),
            Route(
                "GET",
                one,
                self._show,
                "One image and its variants",
                Access.NODE,
                path_types=ids,
                answer=ImageDocument,
                problems=(404,),
            ),
            Route(
                "PUT",
                one,
                self._register,
                "Register an image, or bring its description up to date",
                Access.SEEDER,
                path_types=ids,
                body=ImageDescription,
                answer=ImageDocument,
                problems=(404, 409),
            ),
            Route(
                "DELETE",
                one,
                self._withdraw,
                "Withdraw an image and its torrents",
                Access.SEEDER,
                path_types=ids,
                status=HTTPStatus.NO_CONTENT,
                problems=(404,),
            ),
            Route(
                "PUT",
                "/v1/images/{id}/variants/{variant}",
                self._report,
                "How far a conversion is; a published variant stays so",
                Access.SEEDER,
                path_types={**ids, "variant": Variant},
                body=VariantReport,
                answer=VariantDocument,
                problems=(404,),
            ),
            Route(
                "GET",
                torrent,
                self._fetch_torrent,
                "The torrent of a variant, waiting for its conversion",
                Access.NODE,
                path_types=ids,
                query=TorrentQuery,
                answer=_TORRENT,
                problems=(404, 422, 502, 503),
            ),
            Route(
                "PUT",
                torrent,
                self._publish,
                "Publish the torrent of a variant",
                Access.SEEDER,
                path_types=ids,
                query=Publication,
                body=_TORRENT,
                answer=VariantDocument,
                problems=(404, 409, 422),
            ),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        wanted = read_query(request, NameQuery)
        images = await self._catalogue.list_images(name=wanted.name)
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
        image_id, variant = _image_id(request), read_query(request, TorrentQuery).variant
        seconds = wait_seconds(request, most=_MOST_WAIT_SECONDS)
        try:
            data = await self._conversions.torrent(image_id, variant, wait_seconds=seconds)
        except Unavailable as error:
            response = problem_response(error)
            response.headers["Retry-After"] = str(_RETRY_SECONDS)
            return response
        return web.Response(body=data, content_type=_TORRENT)

    async def _publish(self, request: web.Request) -> web.Response:
        image_id, wanted = _image_id(request), read_query(request, Publication)
        document = await self._catalogue.publish(
            image_id,
            wanted.variant,
            await read_bytes(request),
            hash_algo=wanted.hash_algo,
            hash_value=wanted.hash_value,
        )
        return json_body(document)


def _image_id(request: web.Request) -> str:
    image_id = request.match_info["id"]
    if not is_image_id(image_id):
        raise ImageUnknown(f"{image_id[:64]!r} is not an image id, which is a UUID in lower case")
    return image_id


def _variant(text: str) -> Variant:
    try:
        return Variant(text)
    except ValueError:
        known = ", ".join(variant.value for variant in Variant)
        raise MalformedRequest(f"variant: {text!r:.40} is not one of: {known}") from None
