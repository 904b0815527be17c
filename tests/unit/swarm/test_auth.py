"""The guard: what a request has to show, before its handler runs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from swarm.errors import Forbidden, SwarmError, Unauthenticated
from swarm.http_client import HttpClient
from swarm.web import auth, server
from swarm.web.routes import Access, Route, add_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKENS = {
    "of-a-node": auth.Caller(
        frozenset({Access.ANYBODY, Access.NODE}), node="compute-1", is_known=True
    ),
    "of-a-seeder": auth.Caller(
        frozenset({Access.ANYBODY, Access.NODE, Access.SEEDER}), node="seeder-1", is_known=True
    ),
    "of-an-operator": auth.Caller(frozenset(Access), is_known=True),
}


class Register:
    """An authority with three tokens, which hold at 127.0.0.1 only."""

    def caller(self, token: str | None, address: bytes) -> auth.Caller:
        """Look the token up."""
        if token is None:
            return auth.Caller(frozenset({Access.ANYBODY}))
        if token not in TOKENS:
            raise Unauthenticated("wrong")
        if address != b"\x7f\x00\x00\x01":
            raise Forbidden("not from there")
        return TOKENS[token]


async def _who(_: web.Request) -> web.Response:
    return web.Response(text=str(auth.caller().node))


@contextlib.asynccontextmanager
async def service() -> AsyncIterator[str]:
    """Serve one route for each access; yields the URL."""
    app = server.application()
    routes = [Route("GET", f"/{a.value}", _who, "", a, answer="text/plain") for a in Access]
    add_routes(app.router, routes, auth.Guard(Register()))
    async with server.serving(app, address="127.0.0.1", port=0) as urls:
        yield urls[0]


async def answer(url: str, access: Access, **client: str | None) -> bytes | type[SwarmError]:
    """Return what a client with a token gets, or the error."""
    async with HttpClient(url, **client) as one:
        try:
            return await one.call("GET", f"/{access.value}")
        except SwarmError as error:
            return type(error)


@pytest.mark.parametrize(
    ("token", "rights"),
    [(None, 1), ("of-a-node", 2), ("of-a-seeder", 3), ("of-an-operator", 4)],
)
def test_each_token_opens_its_routes_and_those_below(token: str | None, rights: int) -> None:
    """Who showed nothing has to show something; who may not is told so."""
    refusal = Unauthenticated if token is None else Forbidden
    name = str(TOKENS[token].node if token else None).encode()

    async def scenario() -> None:
        async with service() as url:
            found = [await answer(url, access, token=token) for access in Access]
            may = [isinstance(one, bytes) for one in found]
            assert may == [n < rights for n in range(len(Access))]
            # What anybody may call does not look at credentials.
            assert found[1:rights] == [name] * (rights - 1)
            assert set(found[rights:]) <= {refusal}

    asyncio.run(scenario())


def test_a_wrong_token_and_another_address_are_refused() -> None:
    """By what the authority says."""

    async def scenario() -> None:
        async with service() as url:
            assert await answer(url, Access.NODE, token="of-nobody") is Unauthenticated  # noqa: S106
            elsewhere = {"token": "of-a-node", "local_address": "127.0.0.2"}
            assert await answer(url, Access.NODE, **elsewhere) is Forbidden
            assert await answer(url, Access.ANYBODY, **elsewhere) == b"None"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer of-a-node", 200),
        ("bearer   of-a-node ", 200),
        ("Basic b2YtYS1ub2Rl", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("of-a-node", 401),
        ("Bearer " + "x" * 4000, 401),
        ("Bearer \xff\xfe", 401),
    ],
)
def test_the_header_is_bearer_and_a_token(header: str, status: int) -> None:
    """Anything else is answered with the scheme that is wanted (RFC 6750)."""

    async def scenario() -> None:
        async with service() as url, aiohttp.ClientSession() as session:
            headers = {"Authorization": header}
            async with session.get(f"{url}/node", headers=headers) as response:
                assert response.status == status
                wanted = "Bearer" if status == 401 else None
                assert response.headers.get("WWW-Authenticate") == wanted

    asyncio.run(scenario())


def test_a_client_does_not_show_its_token() -> None:
    """Neither in its repr nor in the error of a service that is not there."""

    async def scenario() -> None:
        async with HttpClient("http://127.0.0.1:9", token="a-secret-token") as client:  # noqa: S106
            with pytest.raises(SwarmError) as failure:
                await client.call("GET", "/x")
            error = failure.value
            assert "a-secret-token" not in f"{client!r} {error!r} {error.data} {error.__cause__!r}"

    asyncio.run(scenario())
