"""The Glance client against a real Glance, and against one that misbehaves in chosen ways."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from seeder.conversion import hash_file, hash_stream
from seeder.sources.glance import GlanceSource
from swarm import options
from swarm.errors import ConfigurationError, ImageCorrupt, ImageUnknown, SourceUnreachable
from swarm.glance import Glance, GlanceImage, open_file
from swarm.messages import ImageDescription, Variant
from swarm.torrent_version import TorrentVersion
from swarm.web.server import serving
from tests.glance_service import GlanceService, glance_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from oslo_config import cfg

#: The first test that needs Glance may have to install it.
pytestmark = pytest.mark.timeout(600)

IMAGE = "6f1d9d2e-5c1a-4c53-9d1e-0a4b3b6f8c11"
V2 = TorrentVersion.V2
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlanceService]:
    """Run one real Glance for all tests here; each makes its own images."""
    with glance_service(tmp_path_factory.mktemp("glance")) as running:
        yield running


def configured(tmp_path: Path, **values: str) -> cfg.ConfigOpts:
    """Return a configuration with ``values`` in [glance]."""
    file = tmp_path / "glance.conf"
    lines = [f"{name} = {value}" for name, value in values.items()]
    file.write_text("\n".join(["[glance]", *lines, ""]))
    return options.load([], config_files=[str(file)])


@pytest.fixture
def conf(tmp_path: Path, service: GlanceService) -> cfg.ConfigOpts:
    """Return the configuration for the real Glance, without Keystone."""
    return configured(tmp_path, endpoint_override=service.url)


def written(path: Path, size: int) -> bytes:
    """Write random bytes to a file and return them."""
    data = os.urandom(size)
    path.write_bytes(data)
    return data


def test_an_image_is_listed_shown_and_read(
    tmp_path: Path, service: GlanceService, conf: cfg.ConfigOpts
) -> None:
    """With Glance's own hash; the bytes come in whole chunks of 2 MiB by one GET."""
    data = written(tmp_path / "image", (4 << 20) + 5)
    image_id = service.create_image("debian", tmp_path / "image", "raw")

    async def scenario() -> None:
        async with Glance(conf) as glance:
            listed = {image.description.id: image for image in await glance.list_images()}
            assert await glance.show_image(image_id) == listed[image_id]
            image = listed[image_id].description
            assert (image.name, image.size, image.disk_format) == ("debian", len(data), "raw")
            assert image.os_hash_value == hashlib.sha512(data).hexdigest()
            chunks = [chunk async for chunk in glance.read(image)]
            assert [len(chunk) for chunk in chunks] == [2 << 20, 2 << 20, 5]
            assert b"".join(chunks) == data

    asyncio.run(scenario())
    assert service.downloads(image_id) == 1


@pytest.mark.parametrize("suffix", ["", "/", "/v2", "/v2/"])
def test_the_endpoint_may_be_written_in_each_way(
    tmp_path: Path, service: GlanceService, suffix: str
) -> None:
    """As in nova.conf, with or without the version."""
    conf = configured(tmp_path, auth_type="none", endpoint_override=service.url + suffix)

    async def scenario() -> None:
        async with Glance(conf) as glance:
            await glance.list_images()

    asyncio.run(scenario())


def test_a_listing_has_all_pages_and_hidden_images(
    tmp_path: Path, service: GlanceService, conf: cfg.ConfigOpts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Glance pages; a hidden image can be booted by its id all the same."""
    monkeypatch.setattr("swarm.glance._PAGE", 2)
    written(tmp_path / "image", 10)
    made = {service.create_image(f"page {n}", tmp_path / "image", "raw") for n in range(5)}
    service.hide(min(made))

    async def scenario() -> list[GlanceImage]:
        async with Glance(conf) as glance:
            return await glance.list_images()

    listed = [image.description.id for image in asyncio.run(scenario())]
    assert made <= set(listed)
    assert len(listed) == len(set(listed))


def test_what_is_not_active_is_unknown(service: GlanceService, conf: cfg.ConfigOpts) -> None:
    """An image without bytes yet is neither listed nor shown, and an unknown id is no other."""
    queued = service.queue_image("not uploaded yet")

    async def scenario() -> None:
        async with Glance(conf) as glance:
            assert queued not in {image.description.id for image in await glance.list_images()}
            for image_id in (queued, UNKNOWN):
                with pytest.raises(ImageUnknown):
                    await glance.show_image(image_id)
                with pytest.raises(ImageUnknown):
                    await anext(glance.read(described(b"x", image_id)))

    asyncio.run(scenario())


def test_the_stores_own_file_is_used_where_it_is_mounted(
    tmp_path: Path, service: GlanceService, conf: cfg.ConfigOpts
) -> None:
    """By direct_url; the torrent is that of the streamed bytes, and Glance sends none."""
    data = written(tmp_path / "image", (1 << 20) + 1)
    image_id = service.create_image("in place", tmp_path / "image", "raw")

    async def scenario() -> None:
        async with Glance(conf) as glance:
            source = GlanceSource(glance)
            image = await source.show_image(image_id)
            path = await source.local_path(image)
            assert path == service.store_dir / image_id
            in_place = await hash_file(image, Variant.ORIGINAL, path, len(data), V2)
            assert service.downloads(image_id) == 0
            streamed = await hash_stream(image, source.read(image), tmp_path / "copy", V2)
            assert in_place.metainfo == streamed.metainfo

    asyncio.run(scenario())


def test_bytes_that_rotted_in_the_store_are_refused(
    tmp_path: Path, service: GlanceService, conf: cfg.ConfigOpts
) -> None:
    """Glance sends them without a word; its own hash gives them away."""
    written(tmp_path / "image", 1 << 20)
    image_id = service.create_image("rotten", tmp_path / "image", "raw")
    service.corrupt(image_id)

    async def scenario() -> None:
        async with Glance(conf) as glance:
            source = GlanceSource(glance)
            image = await source.show_image(image_id)
            with pytest.raises(ImageCorrupt):
                await hash_stream(image, source.read(image), tmp_path / "copy", V2)

    asyncio.run(scenario())


def described(data: bytes, image_id: str = IMAGE) -> ImageDescription:
    """Return the description of an image of ``data``."""
    return ImageDescription(id=image_id, name="x", size=len(data), disk_format="raw")


def test_a_direct_url_counts_only_if_the_file_is_right(tmp_path: Path) -> None:
    """A file here, readable and of the right size; anything else is streamed."""
    path = tmp_path / "an image"
    path.write_bytes(b"bytes")
    image = described(b"bytes")
    assert open_file(GlanceImage(image, path.as_uri())) == path
    urls = [None, "", "rbd://pool/image", f"file://otherhost{path}", f"file://{tmp_path}/missing"]
    assert [open_file(GlanceImage(image, url)) for url in [*urls, tmp_path.as_uri()]] == [None] * 6
    assert open_file(GlanceImage(described(b"more bytes"), path.as_uri())) is None


def test_a_glance_that_is_away_is_unreachable(tmp_path: Path) -> None:
    """Listing fails with the error that is tried again."""
    conf = configured(tmp_path, endpoint_override="http://127.0.0.1:9")

    async def scenario() -> None:
        async with Glance(conf) as glance:
            with pytest.raises(SourceUnreachable):
                await glance.list_images()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"auth_type": "no-such-plugin"},
        {"endpoint_override": "http://127.0.0.1:9", "cafile": "/nonexistent/ca.pem"},
    ],
)
def test_an_unusable_section_is_a_configuration_error(
    tmp_path: Path, values: dict[str, str]
) -> None:
    """It is found at the start."""
    conf = configured(tmp_path, **values)

    async def scenario() -> None:
        with pytest.raises(ConfigurationError, match="glance"):
            async with Glance(conf):
                pass

    asyncio.run(scenario())


class Troubled:
    """A server in Glance's place: the real one can't be made to answer like that.

    ``trouble`` names what is wrong with the next answers to GET /file.
    """

    def __init__(self, data: bytes, *trouble: str) -> None:
        self.data = data
        self.trouble = list(trouble)
        self.app = web.Application()
        self.app.router.add_get("/", self._versions)
        self.app.router.add_get("/v2/images/{id}/file", self._file)

    async def _versions(self, request: web.Request) -> web.Response:
        link = {"rel": "self", "href": f"{request.url.origin()}/v2/"}
        versions = [{"id": "v2.18", "status": "CURRENT", "links": [link]}]
        return web.json_response({"versions": versions}, status=300)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        match self.trouble.pop(0) if self.trouble else "none":
            case "short":
                return web.Response(body=self.data[:-1])
            case "cut":
                response = web.StreamResponse()
                response.content_length = len(self.data)
                await response.prepare(request)
                await response.write(self.data[:-1])
                assert request.transport is not None
                request.transport.abort()
                return response
            case "none":
                return web.Response(body=self.data)
            case status:
                return web.Response(status=int(status))


@contextlib.asynccontextmanager
async def troubled_glance(
    tmp_path: Path, data: bytes, *trouble: str
) -> AsyncIterator[tuple[Troubled, Glance]]:
    """Run a troubled server and a client of it during the block."""
    server = Troubled(data, *trouble)
    async with contextlib.AsyncExitStack() as stack:
        urls = await stack.enter_async_context(serving(server.app, address="127.0.0.1", port=0))
        conf = configured(tmp_path, endpoint_override=urls[0])
        yield server, await stack.enter_async_context(Glance(conf))


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (["short"], SourceUnreachable),
        (["cut"], SourceUnreachable),
        (["503"], SourceUnreachable),
        (["403"], SourceUnreachable),
        (["401", "401"], SourceUnreachable),
        (["404"], ImageUnknown),
        (["204"], ImageUnknown),
    ],
)
def test_an_answer_without_the_bytes(
    tmp_path: Path, trouble: list[str], expected: type[Exception]
) -> None:
    """Each has its error; a body that ends early is never taken for the image."""
    data = os.urandom(100_000)

    async def scenario() -> None:
        async with troubled_glance(tmp_path, data, *trouble) as (server, glance):
            with pytest.raises(expected):
                _ = [chunk async for chunk in glance.read(described(data))]
            assert server.trouble == []

    asyncio.run(scenario())


def test_a_refused_token_is_renewed_once(tmp_path: Path) -> None:
    """A token can expire between the listing and the download."""
    data = os.urandom(100_000)

    async def scenario() -> None:
        async with troubled_glance(tmp_path, data, "401") as (_, glance):
            assert b"".join([chunk async for chunk in glance.read(described(data))]) == data

    asyncio.run(scenario())
