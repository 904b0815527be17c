"""`/v1/nodes`: operators register nodes, and give and take their keys."""

from __future__ import annotations

from datetime import timezone
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from swarm.errors import NodeUnknown
from swarm.messages import (
    NodeCreated,
    NodeDescription,
    NodeDocument,
    NodeKeyDocument,
    NodeList,
    NodeName,
    NodeRotation,
    is_node_name,
)
from swarm.web.routes import Access, Route
from swarm.web.server import json_body, read_body

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pydantic import BaseModel

    from tracker.nodes.node import Node
    from tracker.nodes.nodes import Nodes


class NodesApi:
    """The handlers. ``is_connected``: whether the node of a name has its control channel open."""

    def __init__(self, nodes: Nodes, *, is_connected: Callable[[str], bool]) -> None:
        self._nodes = nodes
        self._is_connected = is_connected

    def routes(self) -> list[Route]:
        """Return the table."""
        one, operator = "/v1/nodes/{name}", Access.OPERATOR
        names = {"name": NodeName}
        return [
            Route("GET", "/v1/nodes", self._list, "All nodes by name", operator, answer=NodeList),
            Route(
                "POST",
                "/v1/nodes",
                self._add,
                "Register a node; its key is in the answer and nowhere else",
                operator,
                body=NodeDescription,
                answer=NodeCreated,
                status=HTTPStatus.CREATED,
                problems=(409,),
            ),
            Route(
                "GET",
                one,
                self._show,
                "One node",
                operator,
                path_types=names,
                answer=NodeDocument,
                problems=(404,),
            ),
            Route(
                "DELETE",
                one,
                self._remove,
                "Remove a node and its keys",
                operator,
                path_types=names,
                status=HTTPStatus.NO_CONTENT,
                problems=(404,),
            ),
            Route(
                "POST",
                f"{one}/rotate",
                self._rotate,
                "Give a node a new key; the old one goes on for a grace",
                operator,
                path_types=names,
                body=NodeRotation,
                answer=NodeCreated,
                problems=(404,),
            ),
            Route(
                "POST",
                f"{one}/revoke",
                self._revoke,
                "End all keys of a node at once",
                operator,
                path_types=names,
                answer=NodeDocument,
                problems=(404,),
            ),
        ]

    async def _list(self, _: web.Request) -> web.Response:
        return json_body(NodeList(nodes=[self._document(node) for node in self._nodes.all_nodes()]))

    async def _show(self, request: web.Request) -> web.Response:
        return json_body(self._document(self._nodes.show(_name(request))))

    async def _add(self, request: web.Request) -> web.Response:
        node, key = await self._nodes.add(await read_body(request, NodeDescription))
        created = NodeCreated(node=self._document(node), key=key)
        return _secret(created, status=HTTPStatus.CREATED)

    async def _rotate(self, request: web.Request) -> web.Response:
        rotation = await read_body(request, NodeRotation)
        node, key = await self._nodes.rotate(_name(request), grace_seconds=rotation.grace_seconds)
        return _secret(NodeCreated(node=self._document(node), key=key))

    async def _revoke(self, request: web.Request) -> web.Response:
        return json_body(self._document(await self._nodes.revoke(_name(request))))

    async def _remove(self, request: web.Request) -> web.Response:
        await self._nodes.remove(_name(request))
        return web.Response(status=HTTPStatus.NO_CONTENT)

    def _document(self, node: Node) -> NodeDocument:
        return NodeDocument(
            name=node.name,
            rack=node.rack,
            zone=node.zone,
            addresses=node.addresses,
            may_publish=node.may_publish,
            created_at=_utc(node.created_at),
            has_key=bool(node.keys),
            keys=[
                NodeKeyDocument(
                    created_at=_utc(key.created_at),
                    expires_at=key.expires_at and _utc(key.expires_at),
                )
                for key in node.keys
            ],
            is_connected=self._is_connected(node.name),
        )


def _secret(model: BaseModel, *, status: int = HTTPStatus.OK) -> web.Response:
    """Answer with what no cache may keep."""
    return json_body(model, status=status, cache_control="no-store")


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=timezone.utc)


def _name(request: web.Request) -> str:
    name = request.match_info["name"]
    if not is_node_name(name):
        raise NodeUnknown(f"{name[:64]!r} is not the name of a node, which is one of a host")
    return name
