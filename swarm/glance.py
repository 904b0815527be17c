"""A client of Glance's v2 API: list, show, and stream the bytes.

Control calls go through openstacksdk, in threads, with the ``[glance]`` group as in nova.conf
(keystoneauth's auth, session and adapter options). The bytes come over aiohttp in one full GET: no
thread copies them, and a request with a Range would go round Glance's own image cache. openstacksdk
and keystoneauth1 cost 40 MB of memory, so they are imported only here and only once needed. It is
not a façade, and it never writes to Glance.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import ssl
import stat
import urllib.parse
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import pydantic

from swarm.errors import ConfigurationError, ImageUnknown, SourceUnreachable
from swarm.messages import ImageDescription

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from oslo_config import cfg
    from typing_extensions import Self

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

GROUP = "glance"

_PAGE = 500
_CHUNK_BYTES = 2 << 20
_BUFFER_BYTES = 1 << 20
_CALL_SECONDS = 60
_CONNECT_SECONDS = 10.0
#: A store that has to fetch the image first (Swift, S3, a tape) is slow with its first byte only.
_SILENCE_SECONDS = 120.0


@dataclass(frozen=True)
class GlanceImage:
    """An active image."""

    description: ImageDescription
    #: Where the store keeps the bytes; None unless Glance has ``show_image_direct_url``.
    direct_url: str | None


def list_opts() -> list[cfg.Opt]:
    """Return the options of ``[glance]``, for the sample generator (auth_type = v3password)."""
    from keystoneauth1 import loading  # noqa: PLC0415 - see the module docstring

    groups = [
        loading.get_auth_common_conf_options(),
        loading.get_auth_plugin_conf_options("v3password"),
        loading.get_session_conf_options(),
        loading.get_adapter_conf_options(),
    ]
    return list({opt.name: opt for group in groups for opt in group}.values())


class Glance:
    """One Glance; use it as an asynchronous context manager.

    ::

        async with Glance(conf) as glance:
            for image in await glance.list_images():
                async for chunk in glance.read(image.description):
                    ...

    Entering raises :class:`~swarm.errors.ConfigurationError` if ``[glance]`` is unusable. Each
    method raises :class:`~swarm.errors.SourceUnreachable` while Glance or Keystone does not answer.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._pool: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # In this thread: the import changes the interpreter's warning filters.
        self._session, self._connection = _connect(self._conf)
        connector = aiohttp.TCPConnector(ssl=_tls(self._session))
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS
        )
        self._pool = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            auto_decompress=False,
            read_bufsize=_BUFFER_BYTES,
            trust_env=True,  # as requests, below keystoneauth, does
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pool is not None:
            await self._pool.close()

    async def list_images(self) -> list[GlanceImage]:
        """Return every active image that our project can see; empty ones are left out."""
        return await self._call(lambda: list(self._images()), "list images")

    def _images(self) -> Iterator[GlanceImage]:
        # A listing leaves hidden and community images out unless it is asked for them; both can
        # be booted by id.
        for hidden in (False, True):
            found = self._connection.image.images(
                status="active", visibility="all", is_hidden=hidden, limit=_PAGE
            )
            for image in found:
                if (described := _describe(image)) is not None:
                    yield described

    async def show_image(self, image_id: str) -> GlanceImage:
        """Return one image. Raises :class:`~swarm.errors.ImageUnknown` unless it is active."""
        found = await self._call(
            lambda: self._connection.image.get_image(image_id), f"show image {image_id}"
        )
        described = _describe(found) if found.status == "active" else None
        if described is None:
            raise ImageUnknown(
                f"image {image_id} is {found.status} and of {found.size} bytes in Glance",
                image_id=image_id,
            )
        return described

    async def read(self, image: ImageDescription) -> AsyncIterator[bytes]:
        """Yield the bytes of an image in order, in chunks of 2 MiB but for the last.

        Raises :class:`~swarm.errors.ImageUnknown` if it is gone, and
        :class:`~swarm.errors.SourceUnreachable` when the body ends early: whoever takes the bytes
        then starts again.
        """
        what = f"GET the bytes of image {image.id}"
        try:
            async with await self._open(image.id) as response:
                _check_status(response.status, image.id, what)
                received = 0
                async for chunk in _chunks(response.content):
                    received += len(chunk)
                    yield chunk
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise SourceUnreachable(f"{what}: {str(error) or type(error).__name__}") from error
        if received < image.size:
            raise SourceUnreachable(f"{what}: the body ended after {received} of {image.size} B")

    async def _open(self, image_id: str) -> aiohttp.ClientResponse:
        """Send the GET; a token that Glance refuses is renewed once."""
        response = await self._get(image_id)
        if response.status != 401:  # noqa: PLR2004
            return response
        response.release()
        await self._call(self._session.invalidate, "renew the token")
        return await self._get(image_id)

    async def _get(self, image_id: str) -> aiohttp.ClientResponse:
        if self._pool is None:
            raise RuntimeError("Glance is used outside its `async with` block")
        url, headers = await self._call(lambda: self._address(image_id), "get a token")
        return await self._pool.get(url, headers=headers)

    def _address(self, image_id: str) -> tuple[str, dict[str, str]]:
        base = _without_version(self._connection.image.get_endpoint())
        tokens = self._session.get_auth_headers() or {}
        headers = {name: str(value) for name, value in tokens.items()}
        return f"{base}/v2/images/{image_id}/file", {**headers, "Accept-Encoding": "identity"}

    async def _call(self, function: Callable[[], T], what: str) -> T:
        return await asyncio.to_thread(_translated, function, what)


def open_file(image: GlanceImage) -> Path | None:
    """Return the store's own file of ``image``, if it is mounted and readable here.

    Glance's file store keeps the plain bytes at ``file:///<datadir>/<image id>``
    (glance_store/_drivers/filesystem.py). Blocks on the file system: call it in a thread.
    """
    url = urllib.parse.urlsplit(image.direct_url or "")
    if url.scheme != "file" or url.netloc not in {"", "localhost"}:
        return None
    path = Path(urllib.parse.unquote(url.path))
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_size != image.description.size:
        return None
    return path if os.access(path, os.R_OK) else None


def _connect(conf: cfg.ConfigOpts) -> tuple[Any, Any]:
    """Return keystoneauth's session and openstacksdk's connection; nothing is sent yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their dependencies' deprecations are not ours to mend
        import keystoneauth1.exceptions  # noqa: PLC0415 - see the module docstring
        import openstack.connection  # noqa: PLC0415 - likewise
        from keystoneauth1 import loading, noauth  # noqa: PLC0415 - likewise
        from oslo_config import cfg  # noqa: PLC0415 - likewise
    # openstacksdk warns of its own calls to its own old functions.
    warnings.filterwarnings("ignore", module=r"openstack\.")
    loading.register_auth_conf_options(conf, GROUP)
    loading.register_session_conf_options(conf, GROUP)
    loading.register_adapter_conf_options(conf, GROUP)
    conf.set_default("timeout", _CALL_SECONDS, group=GROUP)
    try:
        override = conf[GROUP].endpoint_override
        if override:
            # openstacksdk looks for the version document above /v2; others accept both, so we do.
            conf.set_override("endpoint_override", _without_version(override), group=GROUP)
        auth = loading.load_auth_from_conf_options(conf, GROUP)
        if auth is None:
            if not override:
                raise ConfigurationError("[glance] has neither auth_type nor endpoint_override")
            auth = noauth.NoAuth()
        session = loading.load_session_from_conf_options(conf, GROUP, auth=auth)
        connection = openstack.connection.Connection(
            session=session, oslo_conf=conf, service_types=["image"]
        )
    except (cfg.Error, keystoneauth1.exceptions.ClientException, ValueError) as error:
        raise ConfigurationError(f"[glance]: {error}") from error
    return session, connection


def _translated(function: Callable[[], T], what: str) -> T:
    """Call ``function`` with the errors of three libraries turned into ours."""
    import keystoneauth1.exceptions  # noqa: PLC0415 - see the module docstring
    import openstack.exceptions  # noqa: PLC0415 - likewise
    import requests  # noqa: PLC0415 - likewise

    try:
        return function()
    except openstack.exceptions.NotFoundException as error:
        raise ImageUnknown(f"{what}: Glance has no such image") from error
    except (
        openstack.exceptions.SDKException,
        keystoneauth1.exceptions.ClientException,
        requests.RequestException,
    ) as error:
        raise SourceUnreachable(f"{what}: {error}") from error


def _describe(image: Any) -> GlanceImage | None:  # noqa: ANN401 - openstacksdk ships no types
    if not image.size:
        return None
    try:
        description = ImageDescription(
            id=image.id,
            name=image.name or image.id,
            size=image.size,
            disk_format=image.disk_format or "raw",
            container_format=image.container_format or "bare",
            os_hash_algo=image.hash_algo,
            os_hash_value=image.hash_value,
        )
    except pydantic.ValidationError as error:
        _LOG.warning("image %s of Glance: skipped: %s", image.id, error)
        return None
    return GlanceImage(description, image.direct_url)


def _check_status(status: int, image_id: str, what: str) -> None:
    # 204: queued, or its data are gone; 404: deleted meanwhile.
    if status in {204, 404}:
        raise ImageUnknown(f"{what}: Glance has no bytes of it ({status})", image_id=image_id)
    if status != 200:  # noqa: PLR2004
        raise SourceUnreachable(f"{what}: Glance answered {status}")


async def _chunks(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    try:
        while True:
            yield await content.readexactly(_CHUNK_BYTES)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            yield error.partial


def _without_version(endpoint: str) -> str:
    return re.sub(r"/v\d+(\.\d+)?/?$", "", endpoint).rstrip("/")


def _tls(session: Any) -> ssl.SSLContext | bool:  # noqa: ANN401 - keystoneauth1 ships no types
    """Return for aiohttp what ``cafile``, ``insecure``, ``certfile`` and ``keyfile`` say."""
    if session.verify is False:
        return False
    cafile = session.verify if isinstance(session.verify, str) else None
    try:
        context = ssl.create_default_context(cafile=cafile)
        if isinstance(session.cert, tuple):
            context.load_cert_chain(*session.cert)
        elif session.cert:
            context.load_cert_chain(session.cert)
    except OSError as error:  # also ssl.SSLError
        raise ConfigurationError(f"[glance] cafile, certfile, keyfile: {error}") from error
    return context
