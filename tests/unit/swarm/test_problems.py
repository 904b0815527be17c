"""Errors cross the wire as problem documents and come out as the same class."""

from __future__ import annotations

import asyncio
import inspect
import re

import pytest
from aiohttp import web

from swarm import errors, http_client
from swarm.messages import TransferRequest
from swarm.web import problems, server

CLASSES = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, errors.SwarmError)
]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_has_its_place(cls: type[errors.SwarmError]) -> None:
    """In the drawn tree at its own depth, and with a row in the table."""
    drawn = errors.__doc__ or ""
    line = re.search(rf"^    ([│├└─ ]*){cls.__name__}\b", drawn, re.MULTILINE)
    assert line is not None
    assert len(line[1]) == 4 * (len(cls.__mro__) - len(errors.SwarmError.__mro__))
    assert problems.row_of(cls("why"))


def test_codes_are_unique() -> None:
    """A code names one class."""
    codes = [row.code for row in problems.TABLE.values()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("cls", problems.TABLE)
def test_an_error_survives_the_wire(cls: type[errors.SwarmError]) -> None:
    """Class, sentence and data come out as they went in."""
    document = problems.problem_of(cls("what happened", path="/x", size=3))
    back = problems.error_of(document["status"], document)
    assert type(back) is cls
    assert (back.detail, back.data) == ("what happened", {"path": "/x", "size": 3})
    assert document["remedy"] == cls.remedy


@pytest.mark.parametrize("document", [None, "text", [], {"code": "from the future"}])
def test_what_is_no_problem_of_ours_is_still_an_error(document: object) -> None:
    """A proxy's 502 is Unavailable, a stranger's 404 a SwarmError."""
    assert type(problems.error_of(502, document)) is errors.Unavailable
    assert type(problems.error_of(404, document)) is errors.SwarmError


async def _raise(request: web.Request) -> web.Response:
    kind = request.match_info["kind"]
    if kind == "bug":
        raise RuntimeError("a secret")
    raise errors.ImageUnknown("no image x", image_id="x")


async def _read(request: web.Request) -> web.Response:
    await server.read_body(request, TransferRequest)
    return web.Response(text=str(server.wait_seconds(request)))


def call(method: str, path: str, body: bytes | None = None) -> str:
    """Return the answer of a server of ours, or raise what it means."""

    async def run() -> str:
        app = server.application(limit_bytes=1000)
        app.router.add_get("/raise/{kind}", _raise)
        app.router.add_post("/read", _read)
        async with (
            server.serving(app, address="127.0.0.1", port=0) as urls,
            http_client.HttpClient(urls[0]) as client,
        ):
            return (await client.call(method, path, body=body)).decode()

    return asyncio.run(run())


GOOD = b'{"image_id": "6f1d9d2e-5c1a-4c53-9d1e-0a4b3b6f8c11", "destination_url": "file:///x"}'


def test_a_raised_error_arrives() -> None:
    """The client raises what the handler raised."""
    with pytest.raises(errors.ImageUnknown, match="no image x"):
        call("GET", "/raise/known")


def test_a_bug_is_answered_without_its_text() -> None:
    """What an unexpected exception says stays in the log."""
    with pytest.raises(errors.SwarmError, match=r"see the log: req-") as caught:
        call("GET", "/raise/bug")
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b"{}", "destination_url"),
        (GOOD[:-1] + b', "prority": 1}', "prority"),
        (GOOD.replace(b"6f1d", b"XXXX"), "image_id"),
    ],
)
def test_a_malformed_body_is_explained(body: bytes, complaint: str) -> None:
    """The first wrong member is named; an unknown one is wrong."""
    with pytest.raises(errors.MalformedRequest, match=complaint):
        call("POST", "/read", body)


@pytest.mark.parametrize("wait", ["-1", "nan", "soon", "1e9"])
def test_wait_is_a_number_of_seconds(wait: str) -> None:
    """Anything else is refused rather than taken for 0."""
    with pytest.raises(errors.MalformedRequest, match="wait"):
        call("POST", f"/read?wait={wait}", GOOD)


def test_a_body_beyond_the_limit_is_refused() -> None:
    """Aiohttp's own refusals come as problem documents too."""
    with pytest.raises(errors.SwarmError, match=r"1001|exceeded"):
        call("POST", "/read", bytes(1001))


def test_no_such_route_is_a_problem_document() -> None:
    """Not an HTML page."""
    with pytest.raises(errors.NotFound, match=r"404|Not Found"):
        call("GET", "/nothing/here")


def test_nobody_there_is_unavailable() -> None:
    """A refused connection is an error of ours that names the URL."""

    async def run() -> None:
        async with http_client.HttpClient("http://127.0.0.1:1") as client:
            await client.call("GET", "/healthz")

    with pytest.raises(errors.Unavailable, match=r"127\.0\.0\.1:1"):
        asyncio.run(run())


def test_a_taken_port_is_a_configuration_error() -> None:
    """Two services on one port: the second one says so."""

    async def run() -> None:
        async with server.serving(server.application(), address="127.0.0.1", port=0) as urls:
            port = int(urls[0].rpartition(":")[2])
            async with server.serving(server.application(), address="127.0.0.1", port=port):
                pass

    with pytest.raises(errors.ConfigurationError, match="listen"):
        asyncio.run(run())
