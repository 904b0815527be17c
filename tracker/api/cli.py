"""`swarm swarm`: who has how much of what, as the tracker knows it now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from swarm.console.cli import TrackerAccess, as_json_option, asks_tracker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swarm.messages import Share, SwarmDocument, SwarmSummary
    from swarm.tracker_client import TrackerClient


@click.group()
def swarm() -> None:
    """Look at the swarms: who has how much of what."""


@swarm.command("list")
@asks_tracker
@as_json_option
def list_swarms(tracker: TrackerAccess, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """List all published torrents and how many have them."""
    swarms = tracker.ask(lambda client: client.list_swarms())
    if as_json:
        from swarm.messages import SwarmList  # noqa: PLC0415 - heavy

        click.echo(SwarmList(swarms=swarms).model_dump_json(indent=2))
    else:
        _print_list(swarms)


@swarm.command("show")
@click.argument("image", metavar="IMAGE")
@asks_tracker
@as_json_option
def show_swarm(image: str, tracker: TrackerAccess, as_json: bool) -> None:  # noqa: FBT001 - as above
    """Show how much of IMAGE (its id, or its name) is where: in all, and in each rack."""

    async def fetch(client: TrackerClient) -> SwarmDocument:
        return await client.show_swarm((await client.find_image(image)).id)

    document = tracker.ask(fetch)
    if as_json:
        click.echo(document.model_dump_json(indent=2))
    else:
        _print_shares(document)


def _print_list(swarms: Iterable[SwarmSummary]) -> None:
    from rich import filesize  # noqa: PLC0415 - heavy

    from swarm.console.tables import print_table, printable, table  # noqa: PLC0415 - heavy

    made = table("image", "name", "variant")
    for heading in ("size", "seeders", "leechers", "completed"):
        made.add_column(heading, justify="right")
    for one in swarms:
        figures = (one.seeders, one.leechers, one.completed)
        made.add_row(
            *(one.image_id, printable(one.name), one.variant.value, filesize.decimal(one.size)),
            *map(str, figures),
        )
    print_table(made)


def _print_shares(document: SwarmDocument) -> None:
    from swarm.console.tables import print_table, printable, table  # noqa: PLC0415 - heavy

    made = table("variant", "rack")
    for heading in ("seeders", "leechers", "held", "percent", "completed"):
        made.add_column(heading, justify="right")
    for variant in document.variants:
        name, completed = variant.variant.value, str(variant.completed)
        made.add_row(name, "(all)", *_figures(variant), completed)
        for rack in variant.racks:
            made.add_row("", printable(rack.rack) or "(unknown)", *_figures(rack), "")
    print_table(made)


def _figures(share: Share) -> tuple[str, ...]:
    from rich import filesize  # noqa: PLC0415 - heavy

    held = filesize.decimal(share.held_bytes)
    return str(share.seeders), str(share.leechers), held, f"{share.held_percent:.1f}"
