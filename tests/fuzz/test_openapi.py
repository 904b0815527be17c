"""Schemathesis reads `/openapi.json` of a real tracker and tries what it says, and what it forbids.

It is run as its users run it, as a process. Left out are the event stream and the control channel,
which do not end by themselves; `tests/unit/tracker` has them.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from swarm.fleet import Fleet
from swarm.messages import Health, ImageList, NodeDescription
from swarm.tracker_client import TrackerClient
from swarm.web import server
from swarm.web.openapi import with_document
from swarm.web.routes import Access, Route, add_routes, anybody

if TYPE_CHECKING:
    from aiohttp import web

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
)
#: Nobody waits for a conversion here; 503 is what an API says that has no seeder.
CONFIGURATION = """
hooks = "fuzz_bodies"
[parameters]
"query.wait" = 0
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]
"""
#: How to send what is no JSON.
HOOKS = """
import schemathesis
from hypothesis import strategies as st

schemathesis.openapi.media_type("application/x-bittorrent", st.binary(max_size=200))
"""


async def schemathesis(
    directory: Path, url: str, *headers: str, max_examples: int
) -> tuple[int, str]:
    """Run it against the service at ``url``; returns its status and what it printed."""
    (directory / "schemathesis.toml").write_text(CONFIGURATION)
    (directory / "fuzz_bodies.py").write_text(HOOKS)
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).parent / "schemathesis"), "--no-color"),
        *("--config-file", "schemathesis.toml", "run", f"{url}/openapi.json"),
        *("--exclude-path", "/v1/events", "--exclude-path", "/v1/control"),
        *("--phases", "coverage,fuzzing", "--max-examples", str(max_examples)),
        *("--checks", ",".join(CHECKS), "--continue-on-failure", "--request-timeout", "10"),
        *(word for header in headers for word in ("--header", header)),
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode(errors="replace")


@pytest.mark.timeout(120)
def test_the_tracker_does_what_its_document_says(tmp_path: Path) -> None:
    """Every answer is documented and has its schema; what is invalid is refused; no traceback."""

    async def scenario() -> None:
        async with Fleet(tmp_path) as fleet:
            tracker = await fleet.start_tracker()
            # With the first node that it registers the tracker would be closed to it.
            token = (tmp_path / "tracker" / "operator.token").read_text().strip()
            async with TrackerClient(tracker.url) as client:
                await client.add_node(NodeDescription(name="0", addresses=["::/128"]))
            credentials = f"Authorization: Bearer {token}"
            status, printed = await schemathesis(
                tmp_path, tracker.url, credentials, max_examples=25
            )
            assert status == 0, printed
            assert "Tested: 1" in printed, f"the premise, a dozen operations: {printed}"
            log = tracker.log.read_text()
            assert "Traceback" not in log
            assert token not in log

    asyncio.run(scenario())


@pytest.mark.timeout(120)
def test_a_document_that_lies_is_found_out(tmp_path: Path) -> None:
    """The control: an answer that is not what the table says is a failure."""

    async def lie(_: web.Request) -> web.Response:
        return server.json_body(Health())

    async def scenario() -> None:
        app = server.application()
        route = Route("GET", "/v1/lie", lie, "A lie", Access.ANYBODY, answer=ImageList)
        add_routes(app.router, with_document([route], title="liar"), anybody)
        async with server.serving(app, address="127.0.0.1", port=0) as urls:
            status, printed = await schemathesis(tmp_path, urls[0], max_examples=1)
            assert status == 1, printed
            assert "/v1/lie" in printed

    asyncio.run(scenario())
