"""An aiohttp application with what all of ours have: request ids, problem documents, health.

Handlers raise errors of :mod:`swarm.errors`; the middleware here turns them into problem documents
by the one table. Anything else that escapes a handler is a bug: it is logged with its request id
and answered without its text.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

import pydantic
from aiohttp import web

from swarm import errors
from swarm.web import problems

_LOG = logging.getLogger(__name__)
_LIMIT_BYTES = 64 << 20  # a torrent of a 1 TiB image stays below

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
M = TypeVar("M", bound=pydantic.BaseModel)

REQUEST_ID = "X-OpenStack-Request-ID"

#: Of the request that the task at hand answers; aiohttp's own storage takes text as keys with a
#: warning, and its typed keys came after the oldest aiohttp that we allow.
_request_id: ContextVar[str] = ContextVar("request_id", default="-")


def application(*, limit_bytes: int = _LIMIT_BYTES) -> web.Application:
    """Return an application that answers ``/healthz`` and reports errors as problems."""
    app = web.Application(middlewares=[_identify, _report], client_max_size=limit_bytes)
    app.router.add_get("/healthz", _healthz)
    return app


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


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
    return web.json_response(
        document, status=document["status"], content_type=problems.CONTENT_TYPE
    )


def _foreign_problem(error: web.HTTPException) -> web.Response:
    """Return aiohttp's own refusals (no such route, body too large) in our form."""
    code = (error.reason or "error").lower().replace(" ", "_")
    document = {
        "type": f"urn:glance-swarm:problem:{code}",
        "title": error.reason,
        "status": error.status,
        "code": code,
        "detail": error.text or error.reason,
    }
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    return web.json_response(
        document, status=error.status, headers=headers, content_type=problems.CONTENT_TYPE
    )


async def read_body(request: web.Request, model: type[M]) -> M:
    """Return the request's JSON body as ``model``.

    Raises :class:`~swarm.errors.MalformedRequest` that names the first wrong member.
    """
    try:
        return model.model_validate_json(await request.read())
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
    port: int | None = None,
    unix_socket: str | None = None,
) -> AsyncIterator[list[str]]:
    """Serve ``app`` while the block runs; yields the URLs that it listens on.

    Port 0 takes a free port. Raises :class:`~swarm.errors.ConfigurationError` if the address is
    taken or not of this host.
    """
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)
    await runner.setup()
    try:
        try:
            if address is not None:
                await web.TCPSite(runner, address, port, backlog=4096, reuse_address=True).start()
            if unix_socket is not None:
                await web.UnixSite(runner, unix_socket, backlog=4096).start()
        except OSError as error:
            where = unix_socket if address is None else f"{address}:{port}"
            raise errors.ConfigurationError(f"can't listen on {where}: {error.strerror}") from error
        yield [_url(name) for name in runner.addresses]
    finally:
        await runner.cleanup()


def _url(name: str | tuple[str, int]) -> str:
    if isinstance(name, str):
        return f"unix://{name}"
    host, port = name[0], name[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
