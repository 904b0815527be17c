"""An aiohttp application with what all of ours have: request ids, problem documents, health.

Handlers raise errors of :mod:`swarm.errors`; the middleware here turns them into problem documents
by the one table. Anything else that escapes a handler is a bug: it is logged with its request id
and answered without its text.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar, cast

import pydantic
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from swarm import errors
from swarm.deadline import within
from swarm.listeners import bind_all
from swarm.messages import Health
from swarm.web import problems
from swarm.web.routes import Access, Route, add_routes, anybody
from swarm.web.site import BACKLOG, Site, url_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from swarm.web.site import Front

_LOG = logging.getLogger(__name__)
_PROTOCOL_LOG = logging.getLogger(f"{__name__}.protocol")
_LIMIT_BYTES = 64 << 20  # a torrent of a 1 TiB image stays below

#: For a whole body, however large.
_BODY_SECONDS = 60.0
#: For the head of a request on a new connection, and between two requests. A BitTorrent client that
#: announces each half a minute keeps its connection.
_IDLE_SECONDS = 75.0
#: What is still sent to who was answered already is read for so long, so that it sees the answer.
_LINGER_SECONDS = 2.0

#: The rest of the body would be taken for the next request.
_LAST = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: Method, path in the router, status, seconds.
Observer = Callable[[str, str, int, float], None]
M = TypeVar("M", bound=pydantic.BaseModel)

REQUEST_ID = "X-OpenStack-Request-ID"

_PATIENCE = web.AppKey("patience", float)
#: Of the request that the task at hand answers; aiohttp's own storage takes text as keys with a
#: warning, and its typed keys came after the oldest aiohttp that we allow.
_request_id: ContextVar[str] = ContextVar("request_id", default="-")


def application(
    *,
    limit_bytes: int = _LIMIT_BYTES,
    body_seconds: float = _BODY_SECONDS,
    observe: Observer | None = None,
) -> web.Application:
    """Return an application that answers ``/healthz`` and reports errors as problems.

    A body may have ``limit_bytes``, and has to be there after ``body_seconds``.
    ``observe`` is told of each answer: method and path in the router (both empty if it has no such
    route), status, and the seconds that it took; not of streams and WebSockets, which last.
    """
    outer = () if observe is None else (_watching(observe),)
    app = web.Application(middlewares=(*outer, _identify, _report), client_max_size=limit_bytes)
    app[_PATIENCE] = body_seconds
    add_routes(app.router, [HEALTH], anybody)
    return app


async def _healthz(_: web.Request) -> web.Response:
    return json_body(Health())


def _watching(observe: Observer) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        start = time.perf_counter()
        response = await handler(request)
        resource = request.match_info.route.resource
        if not response.prepared:
            # Methods and paths that do not exist are as many as somebody likes.
            method, path = (request.method, resource.canonical) if resource else ("", "")
            observe(method, path, response.status, time.perf_counter() - start)
        return response

    return watch


#: What every application of ours serves; a balancer has no credentials.
HEALTH = Route(
    "GET", "/healthz", _healthz, "Whether the process answers", Access.ANYBODY, answer=Health
)


@web.middleware
async def _identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give each answer a request id: the caller's, when it sent a sane one (as oslo.middleware)."""
    given = request.headers.get(REQUEST_ID, "")
    request_id = given if _is_request_id(given) else f"req-{uuid.uuid4()}"
    _request_id.set(request_id)
    response = await handler(request)
    if not response.prepared:
        response.headers[REQUEST_ID] = request_id
    return response


def _is_request_id(text: str) -> bool:
    return text.startswith("req-") and len(text) <= 64 and text.isascii() and text.isprintable()  # noqa: PLR2004


@web.middleware
async def _report(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except errors.SwarmError as error:
        return problem_response(error)
    except web.HTTPException as error:
        if error.status < 400:  # noqa: PLR2004
            raise
        return _foreign_problem(error)
    except Exception:  # noqa: BLE001 - the last line of defence
        request_id = _request_id.get()
        _LOG.exception("%s %s failed (%s)", request.method, request.path, request_id)
        return problem_response(errors.SwarmError(f"see the log: {request_id}"))


def problem_response(error: errors.SwarmError) -> web.Response:
    """Return ``error`` as a problem document."""
    document = problems.problem_of(error)
    is_unknown = isinstance(error, errors.Unauthenticated)
    return web.json_response(
        document,
        status=document["status"],
        headers={"WWW-Authenticate": "Bearer"} if is_unknown else None,
        content_type=problems.CONTENT_TYPE,
    )


def _foreign_problem(error: web.HTTPException) -> web.Response:
    """Return aiohttp's own refusals (no such route, body too large) in our form."""
    document = problems.foreign_problem(error.status, error.text or error.reason)
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    response = web.json_response(
        document, status=error.status, headers=headers, content_type=problems.CONTENT_TYPE
    )
    if error.status in _LAST:
        response.force_close()
    return response


async def read_bytes(request: web.Request) -> bytes:
    """Return the request's body.

    One that is too large is refused before it is read, if its length is said; one that trickles is
    refused when the time is up. Either way the connection ends.
    """
    most, seconds = request.client_max_size, request.app[_PATIENCE]
    length = request.content_length or 0
    if length > most:
        raise web.HTTPRequestEntityTooLarge(most, length)
    try:
        return await within(seconds, request.read())
    except asyncio.TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body did not come within {seconds:g} s") from None
    except (ConnectionError, web.RequestPayloadError) as error:
        raise errors.MalformedRequest("the body is broken off or malformed") from error


async def read_body(request: web.Request, model: type[M]) -> M:
    """Return the request's JSON body as ``model``.

    Raises :class:`~swarm.errors.MalformedRequest` that names the first wrong member.
    """
    try:
        return model.model_validate_json(await read_bytes(request))
    except pydantic.ValidationError as error:
        raise errors.MalformedRequest(explain(error)) from error


def read_query(request: web.Request, model: type[M]) -> M:
    """Return the request's query string as ``model``, whose members are the parameters.

    Raises :class:`~swarm.errors.MalformedRequest` that names the first wrong parameter; one that is
    not known, or given twice, is wrong.
    """
    names = list(request.query)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise errors.MalformedRequest(f"{twice:.40}: given more than once")
    try:
        return model.model_validate_strings(dict(request.query))
    except pydantic.ValidationError as error:
        raise errors.MalformedRequest(explain(error)) from error


def explain(error: pydantic.ValidationError) -> str:
    """Return the first complaint of ``error`` in one line: where, then what."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def json_body(model: pydantic.BaseModel, *, status: int = 200, **headers: str) -> web.Response:
    """Return ``model`` as a JSON answer; a header ``retry_after`` is sent as ``Retry-After``."""
    return web.Response(
        body=model.model_dump_json().encode(),
        status=status,
        content_type="application/json",
        headers={name.replace("_", "-").title(): value for name, value in headers.items()},
    )


def wait_seconds(request: web.Request, *, most: float = 60.0) -> float:
    """Return how long the caller will wait: ``?wait=N``, else ``Prefer: wait=N`` (RFC 7240).

    Raises :class:`~swarm.errors.MalformedRequest` for anything but a number of seconds.
    """
    text = request.query.get("wait")
    if text is None:
        preferences = request.headers.get("Prefer", "").replace(";", ",").split(",")
        found = [p.strip()[5:] for p in preferences if p.strip().lower().startswith("wait=")]
        text = found[0] if found else "0"
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86400:  # noqa: PLR2004 - also refuses nan
        raise errors.MalformedRequest(f"wait: not a number of seconds: {text!r:.40}")
    return min(seconds, most)


@contextlib.asynccontextmanager
async def serving(
    app: web.Application,
    *,
    address: str | None = None,
    port: int = 0,
    unix_socket: str | None = None,
    sockets: Sequence[socket.socket] = (),
    front: Callable[[web.Server], Front] | None = None,
    idle_seconds: float = _IDLE_SECONDS,
) -> AsyncIterator[list[str]]:
    """Serve ``app`` while the block runs; yields the URLs that it listens on.

    ``sockets`` are bound already, and closed at the end. Port 0 takes a free port. ``front`` makes
    what stands before aiohttp. A connection is closed once no request, or only a part of a head,
    has come for ``idle_seconds``. Raises :class:`~swarm.errors.ConfigurationError` if the address
    is taken or not of this host.
    """
    async with contextlib.AsyncExitStack() as stack:
        bound = [*sockets, *([] if address is None else bind_all([address], port))]
        for sock in bound:
            stack.callback(sock.close)
        urls = [url_of(sock.getsockname()) for sock in bound]
        runner = await _set_up(app, stack, idle_seconds)
        server = cast("web.Server", runner.server)  # it is set up
        protocols: Callable[[], asyncio.BaseProtocol] = server
        if front is not None:
            protocols = keeper = front(server)
            stack.callback(keeper.close)
        for sock in bound:
            await Site(runner, sock, protocols).start()
        if unix_socket is not None:
            await _listen_at_path(runner, unix_socket)
            urls.append(url_of(unix_socket))
        yield urls


async def _set_up(
    app: web.Application, stack: contextlib.AsyncExitStack, idle_seconds: float
) -> web.AppRunner:
    _PROTOCOL_LOG.addFilter(_is_our_fault)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_PROTOCOL_LOG,
        handle_signals=False,
        shutdown_timeout=2.0,
        keepalive_timeout=idle_seconds,
        lingering_time=_LINGER_SECONDS,
    )
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    return runner


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Return whether to log a record: what is no HTTP is answered, and no trouble of ours."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


async def _listen_at_path(runner: web.AppRunner, path: str) -> None:
    try:
        await web.UnixSite(runner, path, backlog=BACKLOG).start()
    except OSError as error:
        raise errors.ConfigurationError(f"can't listen on {path}: {error.strerror}") from error
