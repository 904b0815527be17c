"""`swarm tracker` and `swarm image`: arguments in, calls, tables out.

What is heavy is imported inside the commands: `swarm --help` loads this file.
"""

from __future__ import annotations

from functools import partial
from typing import IO, TYPE_CHECKING

import click

from swarm.console.cli import TrackerAccess, as_json_option, asks_tracker

if TYPE_CHECKING:
    from swarm.messages import ImageDocument, VariantDocument
    from swarm.tracker_client import TrackerClient


class Misconfigured(click.ClickException):
    """The service can't start as it is configured; said in one line."""

    exit_code = 2


@click.group()
def tracker() -> None:
    """Run the tracker, which knows who has what."""


@tracker.command()
@click.option(
    "--config-file",
    "config_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="Configuration file; given more than once, later ones win.",
)
@click.option(
    "--listen-address",
    multiple=True,
    help="Instead of [tracker] listen_address; can be given more than once.",
)
@click.option("--listen-port", type=int, help="Instead of [tracker] listen_port.")
@click.option("--state-dir", help="Instead of [tracker] state_dir.")
def serve(
    config_files: tuple[str, ...],
    listen_address: tuple[str, ...],
    **overrides: str | int | None,
) -> None:
    """Serve announces and the API until SIGTERM or SIGINT."""
    from swarm import options, service  # noqa: PLC0415 - heavy
    from swarm.errors import ConfigurationError  # noqa: PLC0415 - heavy
    from tracker import app  # noqa: PLC0415 - heavy
    from tracker.options import list_opts  # noqa: PLC0415 - heavy

    wishes = {**overrides, "listen_address": list(listen_address) or None}
    given = [("tracker", name, value) for name, value in wishes.items() if value is not None]
    try:
        conf = options.load(list_opts(), config_files=config_files, overrides=given)
        service.run(partial(app.serve, conf), log_level=conf.swarm.log_level)
    except ConfigurationError as error:
        raise Misconfigured(error.detail) from error


@click.group()
def image() -> None:
    """Look at the images that the tracker knows."""


@image.command("list")
@asks_tracker
@as_json_option
def list_images(tracker: TrackerAccess, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """List all images, newest first."""
    images = tracker.ask(lambda client: client.list_images())
    if as_json:
        from swarm.messages import ImageList  # noqa: PLC0415 - heavy

        click.echo(ImageList(images=images).model_dump_json(indent=2))
    else:
        _print(images)


@image.command("show")
@click.argument("image", metavar="IMAGE")
@asks_tracker
@as_json_option
def show_image(image: str, tracker: TrackerAccess, as_json: bool) -> None:  # noqa: FBT001 - as above
    """Show IMAGE, given by its id or its name (the newest one of that name)."""
    found = tracker.ask(lambda client: client.find_image(image))
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        _print([found])


@image.command("torrent")
@click.argument("image", metavar="IMAGE")
@click.option(
    "--output",
    required=True,
    type=click.File("wb", lazy=True),
    help="The file to write, replaced if it is there; - is the standard output.",
)
@click.option(
    "--variant",
    type=click.Choice(["original", "raw"]),
    default="original",
    show_default=True,
    help="The form of the image.",
)
@click.option(
    "--announce",
    "announce_urls",
    multiple=True,
    metavar="URL",
    help="Where clients announce, http:// or udp://; can be given more than once, the first is "
    "tried first. Without it: over HTTP to the tracker that is asked, with the node's key of "
    "--token-file in the URL, if that is one.",
)
@asks_tracker
def write_torrent(
    image: str,
    output: IO[bytes],
    variant: str,
    announce_urls: tuple[str, ...],
    tracker: TrackerAccess,
) -> None:
    """Write a .torrent of IMAGE (id or name) for other BitTorrent clients.

    Which clients can read it is decided by [seeder] torrent_version.
    """
    from swarm.messages import Variant  # noqa: PLC0415 - heavy
    from swarm.torrent_file import torrent_file  # noqa: PLC0415 - heavy

    async def fetch(client: TrackerClient) -> bytes:
        found = await client.find_image(image)
        data = await client.fetch_torrent(found.id, Variant(variant))
        return torrent_file(data, announce_urls or [client.announce_url])

    data = tracker.ask(fetch)
    output.write(data)  # only now the file is opened


def _print(images: list[ImageDocument]) -> None:
    from rich import filesize  # noqa: PLC0415 - heavy

    from swarm.console.tables import print_table, printable, table  # noqa: PLC0415 - heavy

    made = table("id", "name", "size", "disk format", "variants")
    made.columns[0].no_wrap = True
    made.columns[-1].min_width = len("original: converting")
    for document in images:
        states = "\n".join(_state(variant) for variant in document.variants)
        cells = (document.name, filesize.decimal(document.size), document.disk_format, states)
        made.add_row(document.id, *(printable(cell) or "-" for cell in cells))
    print_table(made)


def _state(variant: VariantDocument) -> str:
    text = f"{variant.variant.value}: {variant.state.value}"
    return f"{text}: {variant.reason}" if variant.reason else text
