"""One JSON-over-HTTP service of ours, seen from a client: problems become errors again."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import aiohttp
import pydantic

from swarm import errors
from swarm.netns import socket_in
from swarm.web import problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

M = TypeVar("M", bound=pydantic.BaseModel)

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 30.0


class HttpClient:
    """A connection pool to one service; use it as an asynchronous context manager.

    ``url`` is ``http://host:port`` or ``unix:///path``. TCP connections leave from
    ``local_address``, if one is given, and from network namespace ``netns``. ``token`` is sent
    with each request (`Authorization: Bearer`), and never shown.
    """

    #: Raised when the service can't be reached; set by each kind of client.
    unreachable: type[errors.Unavailable] = errors.Unavailable

    def __init__(
        self,
        url: str,
        *,
        local_address: str | None = None,
        token: str | None = None,
        netns: str | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._netns = netns
        self._token = token
        self._local_address = local_address
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        if self.url.startswith("unix://"):
            connector: aiohttp.BaseConnector = aiohttp.UnixConnector(self.url[len("unix://") :])
            self._base = "http://localhost"
        else:
            local = None if self._local_address is None else (self._local_address, 0)
            connector = aiohttp.TCPConnector(
                limit=32, local_addr=local, socket_factory=partial(socket_in, self._netns)
            )
            self._base = self.url
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else None
        self._session = aiohttp.ClientSession(connector=connector, headers=headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open pool; a client that was not entered has none."""
        if self._session is None:
            raise RuntimeError(f"{type(self).__name__} is used outside its `async with` block")
        return self._session

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: pydantic.BaseModel | bytes | None = None,
        query: Mapping[str, str] | None = None,
        wait_seconds: float = 0.0,
    ) -> bytes:
        """Send one request and return the body of its 2xx answer.

        ``wait_seconds`` is what the service was asked to wait; the time limit grows by as much.
        Raises the error that the service's problem document names, or ``unreachable``.
        """
        data = body.model_dump_json().encode() if isinstance(body, pydantic.BaseModel) else body
        kind = (
            "application/json"
            if isinstance(body, pydantic.BaseModel)
            else "application/x-bittorrent"
        )
        timeout = aiohttp.ClientTimeout(
            total=_ANSWER_SECONDS + wait_seconds, sock_connect=_CONNECT_SECONDS
        )
        try:
            async with self.session.request(
                method,
                self._base + path,
                data=data,
                params=query,
                headers={"Content-Type": kind} if data is not None else None,
                timeout=timeout,
            ) as response:
                answer = await response.read()
                if response.ok:
                    return answer
                raise await error_of(response)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise self.unreachable(f"{method} {self.url}{path}: {reason}", url=self.url) from error

    async def call_for(
        self,
        model: type[M],
        method: str,
        path: str,
        *,
        body: pydantic.BaseModel | bytes | None = None,
        query: Mapping[str, str] | None = None,
        wait_seconds: float = 0.0,
    ) -> M:
        """As :meth:`call`, with the answer read as ``model``."""
        answer = await self.call(method, path, body=body, query=query, wait_seconds=wait_seconds)
        try:
            return model.model_validate_json(answer)
        except pydantic.ValidationError as error:
            raise self.unreachable(
                f"{method} {self.url}{path}: not the answer of a service of ours", url=self.url
            ) from error


async def error_of(response: aiohttp.ClientResponse) -> errors.SwarmError:
    """Return the error that a service's answer means."""
    try:
        document: object = await response.json(content_type=None)
    except ValueError:
        document = None
    return problems.error_of(response.status, document or response.reason)
