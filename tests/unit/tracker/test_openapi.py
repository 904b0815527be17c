"""`/openapi.json` is valid, and says what is served: no more and no less."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from swarm.web import problems
from tests.unit.tracker import lab
from tracker import app

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

#: BitTorrent's own, and not JSON over HTTP.
BITTORRENT = ("/announce", "/scrape")


def served_document(state_dir: Path) -> Any:  # noqa: ANN401 - JSON
    """Return the document of a running tracker."""

    async def scenario() -> Any:  # noqa: ANN401 - JSON
        async with (
            lab.tracker_at(state_dir) as t,
            t.session.get(f"{t.url}/openapi.json") as response,
        ):
            assert (response.status, response.content_type) == (200, "application/json")
            return await response.json()

    return asyncio.run(scenario())


def test_the_document_is_openapi_3_1(tmp_path: Path) -> None:
    """By the validator of the OpenAPI community."""
    document = served_document(tmp_path)
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()
    broken = {**document, "paths": {"/x/{id}": {"get": {"responses": {"200": {}}}}}}
    with pytest.raises(Exception, match=r"'description' is a required property|valid|id"):
        OpenAPIV31SpecValidator(broken).validate()


def test_every_route_is_in_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And everything in the document is a route; but for HEAD, and for what is BitTorrent's."""
    applications: list[web.Application] = []
    serving = app.server.serving

    def note(application: web.Application, **where: Any) -> Any:  # noqa: ANN401 - passed on
        applications.append(application)
        return serving(application, **where)

    monkeypatch.setattr(app.server, "serving", note)
    document = served_document(tmp_path)
    (application,) = applications
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in application.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    announces = {route for route in served if route[1].startswith(BITTORRENT)}
    assert announces, "the premise: they are served here too"
    documented = {(method, path) for path, item in document["paths"].items() for method in item}
    assert documented == served - announces


def test_problems_are_described_with_their_codes(tmp_path: Path) -> None:
    """Each operation names what it may answer; each code of the table is somewhere."""
    document = served_document(tmp_path)
    responses = document["components"]["responses"]
    described = {
        code
        for response in responses.values()
        for code in response["content"][problems.CONTENT_TYPE]["schema"]["properties"]["code"][
            "enum"
        ]
    }
    assert described >= {row.code for row in problems.TABLE.values()}
    show = document["paths"]["/v1/images/{id}"]["get"]
    assert show["security"] == [{"bearer": []}, {}]
    assert {"400", "401", "403", "404"} <= set(show["responses"])
    (parameter,) = show["parameters"]
    assert parameter["schema"]["pattern"].startswith("^[0-9a-f]{8}")
    wait = document["paths"]["/v1/images/{id}/torrent"]["get"]["parameters"][2]
    assert (wait["name"], wait["required"]) == ("wait", False)
    assert wait["schema"]["minimum"] == 0


def test_operations_have_names_of_their_own(tmp_path: Path) -> None:
    """A generated client has one function for each."""
    paths = served_document(tmp_path)["paths"]
    names = [operation["operationId"] for item in paths.values() for operation in item.values()]
    assert len(set(names)) == len(names)
