"""Credentials of a request: `Authorization: Bearer <token>` (RFC 6750), and what they allow.

Who holds which token is for an :class:`Authority` to say; the tracker's is in
``tracker/nodes/authority.py``. The guard here asks it before a handler runs, by the access that the
table of routes names.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from swarm.errors import Forbidden, Unauthenticated
from swarm.web import remote
from swarm.web.routes import Access

if TYPE_CHECKING:
    from aiohttp import web

    from swarm.web.server import Handler

_SCHEME = "bearer"
#: Far longer than any token of ours.
_MOST_CHARACTERS = 512

_SENTENCES = {
    Access.SEEDER: "only a node that may publish, or an operator, may do that",
    Access.OPERATOR: "only an operator may do that",
}


@dataclass(frozen=True)
class Caller:
    """Who asks, as far as the credentials say."""

    may: frozenset[Access]
    #: The name of the node whose key was shown.
    node: str | None = None
    #: Whether any credentials were shown.
    is_known: bool = False


_UNGUARDED = Caller(frozenset(Access))


class Authority(Protocol):
    """Knows whose a token is."""

    def caller(self, token: str | None, address: bytes) -> Caller:
        """Return who shows ``token`` (None: nothing was shown) from ``address``, 4 or 16 bytes.

        Raises :class:`~swarm.errors.Unauthenticated` for a token that is not valid, and
        :class:`~swarm.errors.Forbidden` for one that is not valid from there.
        """


#: Of the request that the task at hand answers; see ``swarm/web/server.py`` for why it is not kept
#: in the request.
_caller: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """Return who asked for what the handler at work does; without a guard, somebody who may."""
    return _caller.get(_UNGUARDED)


class Guard:
    """Called with a route's access and its handler, it returns the handler behind a check."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def __call__(self, access: Access, handler: Handler) -> Handler:
        """Return ``handler``, to run only for who may call it."""
        if access is Access.ANYBODY:
            return handler

        async def guarded(request: web.Request) -> web.StreamResponse:
            token = token_of(request.headers.get("Authorization"))
            found = self._authority.caller(token, remote.address_of(request))
            _check(found, access)
            _caller.set(found)
            return await handler(request)

        return guarded


def token_of(header: str | None) -> str | None:
    """Return the token in an Authorization header; None if there is no header.

    Raises :class:`~swarm.errors.Unauthenticated` for any other scheme.
    """
    if header is None:
        return None
    scheme, _, token = header.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != _SCHEME or not token or len(token) > _MOST_CHARACTERS:
        raise Unauthenticated("the Authorization header is not `Bearer` and a token")
    return token


def _check(found: Caller, access: Access) -> None:
    if access in found.may:
        return
    if not found.is_known:
        raise Unauthenticated("credentials are needed here, and there were none")
    raise Forbidden(_SENTENCES.get(access, "these credentials do not allow that"))
