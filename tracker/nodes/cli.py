"""`swarm node`: register nodes, and give and take their keys.

What is heavy is imported inside the commands: `swarm --help` loads this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from swarm.console.cli import TrackerAccess, as_json_option, asks_tracker

if TYPE_CHECKING:
    from pydantic import BaseModel

    from swarm.messages import NodeCreated, NodeDescription, NodeDocument

_WHAT_TO_DO = (
    "This key of {name} is shown once. Put it into a file on the node that only its service can "
    "read, and name the file in [swarm] node_key_file."
)


@click.group()
def node() -> None:
    """Say which nodes may take part, and give them keys."""


@node.command("add")
@click.argument("name")
@click.option("--rack", default="", help="Where it is; nodes of one rack prefer each other.")
@click.option("--zone", default="", help="Its availability zone.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    required=True,
    metavar="CIDR",
    help="Host or network that it may come from; can be given more than once.",
)
@click.option("--may-publish", is_flag=True, help="It is a seeder.")
@asks_tracker
@as_json_option
def add_node(tracker: TrackerAccess, as_json: bool, **members: Any) -> None:  # noqa: ANN401, FBT001 - click's values
    """Register the node NAME and print its key, which is shown this once."""
    wanted = _description(members)
    _print_key(tracker.ask(lambda client: client.add_node(wanted)), as_json=as_json)


@node.command("list")
@asks_tracker
@as_json_option
def list_nodes(tracker: TrackerAccess, as_json: bool) -> None:  # noqa: FBT001 - as above
    """List all nodes by name."""
    nodes = tracker.ask(lambda client: client.list_nodes())
    if as_json:
        from swarm.messages import NodeList  # noqa: PLC0415 - heavy

        _print_json(NodeList(nodes=nodes))
    else:
        _print_nodes(nodes)


@node.command("show")
@click.argument("name")
@asks_tracker
@as_json_option
def show_node(name: str, tracker: TrackerAccess, as_json: bool) -> None:  # noqa: FBT001 - as above
    """Show the node NAME."""
    _show(tracker.ask(lambda client: client.show_node(name)), as_json=as_json)


@node.command("rotate")
@click.argument("name")
@click.option("--now", is_flag=True, help="The old key ends at once.")
@click.option(
    "--grace",
    "grace_seconds",
    type=click.IntRange(0, 30 * 86400),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="How long the old key goes on.",
)
@asks_tracker
@as_json_option
def rotate_node(
    name: str,
    now: bool,  # noqa: FBT001 - as above
    grace_seconds: int,
    tracker: TrackerAccess,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Give the node NAME a new key and print it; it is shown this once."""
    from swarm.messages import NodeRotation  # noqa: PLC0415 - heavy

    rotation = NodeRotation(grace_seconds=0 if now else grace_seconds)
    _print_key(tracker.ask(lambda client: client.rotate_node(name, rotation)), as_json=as_json)


@node.command("revoke")
@click.argument("name")
@asks_tracker
@as_json_option
def revoke_node(name: str, tracker: TrackerAccess, as_json: bool) -> None:  # noqa: FBT001 - as above
    """End all keys of the node NAME at once; `rotate` gives it one again."""
    _show(tracker.ask(lambda client: client.revoke_node(name)), as_json=as_json)


@node.command("remove")
@click.argument("name")
@asks_tracker
def remove_node(name: str, tracker: TrackerAccess) -> None:
    """Forget the node NAME and its keys."""
    tracker.ask(lambda client: client.remove_node(name))


def _description(members: dict[str, Any]) -> NodeDescription:
    from pydantic import ValidationError  # noqa: PLC0415 - heavy

    from swarm.errors import MalformedRequest  # noqa: PLC0415 - heavy
    from swarm.messages import NodeDescription  # noqa: PLC0415 - heavy
    from swarm.web.server import explain  # noqa: PLC0415 - heavy

    try:
        return NodeDescription.model_validate(members)
    except ValidationError as error:
        raise MalformedRequest(explain(error)) from error


def _print_key(created: NodeCreated, *, as_json: bool) -> None:
    """Print the key alone on the standard output, so that it can go into a file."""
    if as_json:
        _print_json(created)
    else:
        click.echo(_WHAT_TO_DO.format(name=created.node.name), err=True)
        click.echo(created.key)


def _show(document: NodeDocument, *, as_json: bool) -> None:
    if as_json:
        _print_json(document)
    else:
        _print_nodes([document])


def _print_json(model: BaseModel) -> None:
    click.echo(model.model_dump_json(indent=2))


def _print_nodes(nodes: list[NodeDocument]) -> None:
    from swarm.console.tables import print_table, printable, table  # noqa: PLC0415 - heavy

    made = table("name", "rack", "zone", "addresses", "publishes", "key", "connected")
    for one in nodes:
        made.add_row(
            one.name,
            printable(one.rack) or "-",
            printable(one.zone) or "-",
            "\n".join(one.addresses),
            "yes" if one.may_publish else "no",
            _key_state(one),
            "yes" if one.is_connected else "no",
        )
    print_table(made)


def _key_state(one: NodeDocument) -> str:
    if not one.has_key:
        return "revoked"
    ends = [key.expires_at for key in one.keys if key.expires_at is not None]
    return f"valid; an old one until {max(ends):%Y-%m-%d %H:%M:%S} UTC" if ends else "valid"
