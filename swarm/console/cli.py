"""The options of commands that ask the tracker.

What is heavy is imported inside the functions: `swarm --help` loads this file.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swarm.tracker_client import TrackerClient

T = TypeVar("T")

#: Where a tracker with the default state directory keeps its operator's token.
_OWN_TOKEN_FILE = "/var/lib/glance-swarm/tracker/operator.token"  # noqa: S105 - a path
_TOKEN_VARIABLE = "SWARM_TOKEN"  # noqa: S105 - a name


@dataclass(frozen=True)
class TrackerAccess:
    """Which tracker is asked, and what it is shown."""

    url: str
    token: str | None = field(repr=False)

    def ask(self, question: Callable[[TrackerClient], Awaitable[T]]) -> T:
        """Put one question to the tracker; the `swarm` command prints what goes wrong."""
        import asyncio  # noqa: PLC0415 - heavy

        from swarm.tracker_client import TrackerClient  # noqa: PLC0415 - heavy

        async def call() -> T:
            async with TrackerClient(self.url, token=self.token) as client:
                return await question(client)

        return asyncio.run(call())


def asks_tracker(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which tracker is asked; the command gets them as ``tracker``."""

    @click.option(
        "--tracker-url",
        metavar="URL",
        envvar="SWARM_TRACKER_URL",
        default="http://127.0.0.1:6969",
        show_default=True,
        show_envvar=True,
        help="Base URL of the tracker.",
    )
    @click.option(
        "--token-file",
        metavar="PATH",
        envvar="SWARM_TOKEN_FILE",
        show_envvar=True,
        help="File with the operator's token or a node's key. Without it: $SWARM_TOKEN, or "
        f"{_OWN_TOKEN_FILE} if it can be read.",
    )
    @functools.wraps(command)
    def with_tracker(
        *arguments: Any,  # noqa: ANN401 - click's values
        tracker_url: str,
        token_file: str | None,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        access = TrackerAccess(tracker_url, _token(token_file))
        return command(*arguments, tracker=access, **options)

    return with_tracker


def _token(path: str | None) -> str | None:
    from swarm.token_file import checked_token, read_token  # noqa: PLC0415 - heavy

    if path:
        return read_token(path)
    if given := os.environ.get(_TOKEN_VARIABLE):
        return checked_token(given, f"${_TOKEN_VARIABLE}")
    return read_token(_OWN_TOKEN_FILE) if os.access(_OWN_TOKEN_FILE, os.R_OK) else None


as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
