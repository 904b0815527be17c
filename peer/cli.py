"""`swarm peer` and `swarm fetch`: arguments in, calls, exit status out.

What is heavy is imported inside the commands: `swarm --help` loads this file.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from swarm.console.cli import TrackerAccess, as_json_option, asks_tracker

if TYPE_CHECKING:
    from swarm.messages import TransferDocument, TransferRequest

_INTERRUPTED_STATUS = 130  # as a shell has it for SIGINT


@click.group()
def peer() -> None:
    """Run the peer agent, which fetches images for this host."""


@peer.command()
@click.option(
    "--config-file",
    "config_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="Configuration file; given more than once, later ones win.",
)
@click.option("--listen-address", help="Instead of [peer] listen_address.")
@click.option("--listen-port", type=int, help="Instead of [peer] listen_port.")
@click.option("--unix-socket", help="Instead of [peer] unix_socket.")
@click.option("--state-dir", help="Instead of [peer] state_dir.")
@click.option("--root", "roots", multiple=True, help="Instead of [peer] roots; repeatable.")
@click.option("--tracker-url", help="Instead of [swarm] tracker_url.")
@click.option("--engine-address", help="Instead of [engine] listen_address.")
@click.option("--engine-port", type=int, help="Instead of [engine] listen_port.")
def serve(config_files: tuple[str, ...], **given: Any) -> None:  # noqa: ANN401 - click's values
    """Serve the API and the swarms until SIGTERM or SIGINT."""
    from peer import app, options  # noqa: PLC0415 - heavy
    from swarm import service  # noqa: PLC0415 - heavy
    from swarm.errors import ConfigurationError  # noqa: PLC0415 - heavy
    from swarm.options import list_engine_opts, load  # noqa: PLC0415 - heavy

    groups = [*list_engine_opts(), *options.list_opts()]
    try:
        conf = load(groups, config_files=config_files, overrides=_overrides(given))
        service.run(partial(app.serve, conf), log_level=conf.swarm.log_level)
    except ConfigurationError as error:
        raise click.UsageError(error.detail) from error


def _overrides(given: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """Return (group, option, value) for what was given on the command line."""
    elsewhere = {
        "tracker_url": ("swarm", "tracker_url"),
        "engine_address": ("engine", "listen_address"),
        "engine_port": ("engine", "listen_port"),
    }
    return [
        (*elsewhere.get(name, ("peer", name)), list(value) if name == "roots" else value)
        for name, value in given.items()
        if value not in (None, ())
    ]


@click.command()
@click.argument("image", metavar="IMAGE")
@click.option(
    "--to",
    required=True,
    metavar="PATH",
    help="File to make, below a root of the agent; or a directory, for a file of the image's name.",
)
@click.option(
    "--format",
    "destination_format",
    type=click.Choice(["as_is", "raw"]),
    default="as_is",
    show_default=True,
    help="As Glance has it, or its raw disk.",
)
@click.option(
    "--verify",
    type=click.Choice(["pieces", "full"]),
    default="pieces",
    show_default=True,
    help="Each piece as it arrives; or the whole file once more, from the disk.",
)
@click.option(
    "--agent",
    "agent_url",
    metavar="URL",
    envvar="SWARM_AGENT_URL",
    default="http://127.0.0.1:6970",
    show_default=True,
    show_envvar=True,
    help="The peer agent of this host: http://host:port or unix:///path.",
)
@asks_tracker
@as_json_option
@click.option("--no-wait", is_flag=True, help="Return as soon as the agent has taken it in.")
def fetch(
    image: str,
    to: str,
    agent_url: str,
    tracker: TrackerAccess,
    *,
    as_json: bool,
    no_wait: bool,
    **wishes: str,
) -> None:
    """Bring IMAGE, given by id or name, to a file of this host.

    The exit status is 0 only when the file is complete (with --no-wait: when the agent took the
    request), 1 when it failed, and 130 after Ctrl-C, which cancels the transfer.
    """
    import asyncio  # noqa: PLC0415 - heavy

    from peer import fetch as calls  # noqa: PLC0415 - heavy
    from swarm.errors import SwarmError  # noqa: PLC0415 - heavy

    try:
        image_id, path = asyncio.run(
            calls.resolve(image, calls.target_of(to), tracker_url=tracker.url, token=tracker.token)
        )
        request = _request(image_id, calls.destination_url(path), wishes)
        if no_wait:
            transfer = asyncio.run(calls.start(agent_url, request))
        else:
            transfer = _follow(agent_url, request, as_json=as_json)
    except SwarmError as error:
        raise click.ClickException(f"{error.detail}\n{error.remedy}") from error
    _report(transfer, str(path), as_json=as_json)
    sys.exit(0 if no_wait or transfer.state.value == "complete" else 1)


def _request(image_id: str, destination_url: str, wishes: dict[str, str]) -> TransferRequest:
    from pydantic import ValidationError  # noqa: PLC0415 - heavy

    from swarm.errors import MalformedRequest  # noqa: PLC0415 - heavy
    from swarm.messages import TransferRequest  # noqa: PLC0415 - heavy
    from swarm.web.server import explain  # noqa: PLC0415 - heavy

    body = {"image_id": image_id, "destination_url": destination_url, **wishes}
    try:
        return TransferRequest.model_validate(body)
    except ValidationError as error:
        raise MalformedRequest(explain(error)) from error


def _follow(agent_url: str, request: TransferRequest, *, as_json: bool) -> TransferDocument:
    import asyncio  # noqa: PLC0415 - heavy

    from peer import fetch as calls  # noqa: PLC0415 - heavy
    from peer.progress_view import view  # noqa: PLC0415 - heavy

    try:
        with view(as_json=as_json) as shown:
            return asyncio.run(calls.fetch(agent_url, request, shown.show))
    except calls.Interrupted as interruption:
        if interruption.is_cancelled:
            click.echo(f"Interrupted: transfer {interruption.transfer_id} is cancelled.", err=True)
        else:
            click.echo(
                f"Interrupted, but the agent did not confirm the cancellation of transfer "
                f"{interruption.transfer_id}: it may still run.",
                err=True,
            )
        sys.exit(_INTERRUPTED_STATUS)


def _report(transfer: TransferDocument, path: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(transfer.model_dump_json(indent=2))
    elif transfer.failure is not None:
        failure = transfer.failure
        click.echo(
            f"Failed while {failure.step.value}: {failure.reason}\n{failure.remedy}", err=True
        )
    elif transfer.state.value == "complete":
        click.echo(f"{path}: {transfer.size} bytes, complete")
    else:
        click.echo(f"transfer {transfer.id}: {transfer.state.value}")
