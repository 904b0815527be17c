"""Who may do what at the tracker: operators by their token, nodes by their keys."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from swarm.web.auth import Caller
from swarm.web.routes import Access

if TYPE_CHECKING:
    from tracker.nodes.nodes import Nodes

_NODE = frozenset({Access.ANYBODY, Access.NODE})
_SEEDER = _NODE | {Access.SEEDER}
_OPERATOR = frozenset(Access)
_NOBODY = Caller(frozenset({Access.ANYBODY}))


class TrackerAuthority:
    """The guard's :class:`~swarm.web.auth.Authority`.

    ``trusts_callers``: who shows nothing to an open tracker is an operator too. So it is on
    loopback. On a network an open tracker lets anybody publish and fetch, but not register a node,
    whose key would be good when the tracker is open no more.
    """

    def __init__(self, nodes: Nodes, operator_token: str, *, trusts_callers: bool) -> None:
        self._nodes = nodes
        self._operator_token = operator_token.encode()
        self._anonymous = Caller(_OPERATOR if trusts_callers else _SEEDER)

    def caller(self, token: str | None, address: bytes) -> Caller:
        """Return who shows ``token`` from ``address``; see the protocol."""
        if token is None:
            return self._anonymous if self._nodes.is_open else _NOBODY
        if hmac.compare_digest(token.encode("utf-8", "replace"), self._operator_token):
            return Caller(_OPERATOR, is_known=True)
        node = self._nodes.authenticate(token, address)
        if node is None:  # nobody is registered, so no key can be wrong
            return self._anonymous
        may = _SEEDER if node.may_publish else _NODE
        return Caller(may, node.name, is_known=True)
