"""The routes of an API as a table: what is served, who may call it, and what goes in and comes out.

One table serves the router, the check of credentials and the OpenAPI document, so that none of the
three can say anything else than the others.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aiohttp import web

    from swarm.messages import Message
    from swarm.web.server import Handler


class Access(enum.Enum):
    """Who may call a route; an operator may call each."""

    ANYBODY = "anybody"
    #: Any node of ours.
    NODE = "node"
    #: A node that may publish images.
    SEEDER = "seeder"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Route:
    """One method of one path."""

    method: str
    #: In aiohttp's notation, which is OpenAPI's: ``/v1/images/{id}``.
    path: str
    handler: Handler
    #: One line for the document.
    summary: str
    access: Access
    #: What stands in the braces of the path, each a type that pydantic knows; else it is text.
    path_types: Mapping[str, Any] = field(default_factory=dict)
    #: The members of the query string, as a model; their names are the parameters.
    query: type[Message] | None = None
    #: The body that is sent: JSON of a model, or bytes of a content type.
    body: type[Message] | str | None = None
    #: The answer: likewise; None is an empty one.
    answer: type[Message] | str | None = None
    status: int = 200
    #: Statuses of the problem documents that it answers with, beside those that any route has.
    problems: tuple[int, ...] = ()


#: Wraps a handler so that it runs only for who may call it.
Guard = "Callable[[Access, Handler], Handler]"


def anybody(_: Access, handler: Handler) -> Handler:
    """Guard nothing: for a service that only its own host reaches."""
    return handler


def add_routes(
    router: web.UrlDispatcher, routes: Iterable[Route], guard: Callable[[Access, Handler], Handler]
) -> None:
    """Add ``routes`` to ``router``, each behind ``guard``. A GET answers HEAD only if it is JSON.

    Anything else that is got may be long, wait, or change something.
    """
    for route in routes:
        handler = guard(route.access, route.handler)
        router.add_route(route.method, route.path, handler)
        if route.method == "GET" and isinstance(route.answer, type):
            router.add_route("HEAD", route.path, handler)
