"""The OpenAPI 3.1 document of an API, made from its table of routes and the models of its bodies.

Nothing in it is written by hand, so nothing in it can be out of date. JSON Schema 2020-12, which
pydantic writes, is what OpenAPI 3.1 takes.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

import swarm
from swarm.web import problems
from swarm.web.routes import Access, Route
from swarm.web.server import HEALTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swarm.messages import Message

PATH = "/openapi.json"
VERSION = "3.1.0"

_JSON = "application/json"
_SCHEMAS = "#/components/schemas/"
_BRACES = re.compile(r"{(\w+)}")

_WHO = {
    Access.ANYBODY: "Anybody may call it.",
    Access.NODE: "Any node may call it, and an operator.",
    Access.SEEDER: "A node that may publish may call it, and an operator.",
    Access.OPERATOR: "Only an operator may call it.",
}


def with_document(routes: Iterable[Route], *, title: str) -> list[Route]:
    """Return ``routes`` and one more, which serves the document of them all and ``/healthz``."""
    text = b""

    async def serve(_: web.Request) -> web.Response:
        return web.Response(body=text, content_type=_JSON)

    own = Route("GET", PATH, serve, "This document", Access.ANYBODY, answer=_JSON)
    every = [*routes, own]
    text = json.dumps(document([HEALTH, *every], title=title), indent=1).encode()
    return every


def document(routes: Sequence[Route], *, title: str) -> dict[str, Any]:
    """Return the document of ``routes``."""
    schemas = _Schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": VERSION,
        "info": {"title": title, "version": swarm.__version__},
        "paths": paths,
        "components": {
            "schemas": {**schemas.components, "Problem": _PROBLEM},
            "responses": {_name(s): _response(s) for s in sorted(problems.codes_by_status())},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


class _Schemas:
    """The schemas of all models in a table of routes.

    A model that is both sent and answered has two: what has a default may be left out on the way
    in and is always there on the way out.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        models = [(model, "validation") for r in routes for model in (r.body, r.query)]
        models += [(r.answer, "serialization") for r in routes]
        wanted = dict.fromkeys(pair for pair in models if isinstance(pair[0], type))
        self._refs, found = models_json_schema(
            list(wanted),  # type: ignore[arg-type]  # text was left out above
            ref_template=_SCHEMAS + "{model}",
        )
        self.components: dict[str, Any] = found.get("$defs", {})
        for route in routes:
            self.components.pop(self._name(route.query), None)

    def _name(self, query: type[Message] | None) -> str:
        return "" if query is None else self._refs[query, "validation"]["$ref"].split("/")[-1]

    def body(self, model: type[Message]) -> dict[str, Any]:
        return self._refs[model, "validation"]

    def answer(self, model: type[Message]) -> dict[str, Any]:
        return self._refs[model, "serialization"]

    def query(self, model: type[Message]) -> list[dict[str, Any]]:
        """Return the parameters that the members of a query are."""
        schema = model.model_json_schema(ref_template=_SCHEMAS + "{model}")
        required = schema.get("required", ())
        return [
            _parameter(name, "query", _without_null(member), is_required=name in required)
            for name, member in schema.get("properties", {}).items()
        ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an optional member of a query: it is there or it is not, never null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    return {**rest, **kinds[0]}


def _parameter(
    name: str, place: str, schema: dict[str, Any], *, is_required: bool
) -> dict[str, Any]:
    described = {key: schema[key] for key in ("description",) if key in schema}
    kept = {key: value for key, value in schema.items() if key not in {"title", "description"}}
    return {"name": name, "in": place, "required": is_required, "schema": kept, **described}


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    parameters = [*_path_parameters(route), *(schemas.query(route.query) if route.query else ())]
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "description": _WHO[route.access],
        "responses": {str(route.status): _answer(route, schemas), **_problems(route, parameters)},
    }
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _body(route.body, schemas)}
    if route.access is not Access.ANYBODY:
        # The second alternative, none, is for a tracker that is open.
        operation["security"] = [{"bearer": []}, {}]
    return operation


def _operation_id(route: Route) -> str:
    """Return a name that is the route's alone: ``put_images_id_torrent``."""
    words = re.findall(r"\w+", route.path.removeprefix("/v1").replace(".json", ""))
    return "_".join([route.method.lower(), *words])


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        _parameter(
            name,
            "path",
            TypeAdapter(route.path_types.get(name, str)).json_schema(),
            is_required=True,
        )
        for name in _BRACES.findall(route.path)
    ]


def _body(body: type[Message] | str, schemas: _Schemas) -> dict[str, Any]:
    if isinstance(body, str):
        return {body: {}}
    return {_JSON: {"schema": schemas.body(body)}}


def _answer(route: Route, schemas: _Schemas) -> dict[str, Any]:
    answer = route.answer
    if answer is None:
        return {"description": "Done."}
    if isinstance(answer, str):
        schema = {"type": "string"} if answer.startswith("text/") else None
        return {"description": answer, "content": {answer: {"schema": schema} if schema else {}}}
    text = (answer.__doc__ or answer.__name__).partition("\n")[0]
    return {"description": text, "content": {_JSON: {"schema": schemas.answer(answer)}}}


def _problems(route: Route, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the problem documents that a route may answer with, by status."""
    statuses = {*route.problems, 500}
    if parameters or route.body is not None:
        statuses.add(400)
    if route.body is not None:
        statuses |= {408, 413}
    if route.access is not Access.ANYBODY:
        statuses |= {401, 403}
    return {
        str(status): {"$ref": f"#/components/responses/{_name(status)}"}
        for status in sorted(statuses)
    }


def _name(status: int) -> str:
    return f"Problem{status}"


_PROBLEM = {
    "type": "object",
    "description": "RFC 9457; members beyond these are the parts that the detail was made of.",
    "required": ["type", "title", "status", "code", "detail", "remedy"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "stable: it keeps its meaning"},
        "detail": {"type": "string", "description": "what happened, in one sentence"},
        "remedy": {"type": "string", "description": "what the caller can do about it"},
    },
}


def _response(status: int) -> dict[str, Any]:
    codes = problems.codes_by_status()[status]
    schema = {
        "allOf": [{"$ref": f"{_SCHEMAS}Problem"}],
        "properties": {"status": {"const": status}, "code": {"enum": sorted(codes)}},
    }
    titles = "; ".join(f"`{code}`: {title}" for code, title in sorted(codes.items()))
    return {"description": titles, "content": {problems.CONTENT_TYPE: {"schema": schema}}}
