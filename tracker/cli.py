"""`swarm tracker` and `swarm image`: arguments in, calls, tables out.

What is heavy is imported inside the commands: `swarm --help` loads this file.
"""

from __future__ import annotations

from functools import partial
from typing import IO, TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rich.table import Table

    from swarm.messages import ImageDocument, VariantDocument
    from swarm.tracker_client import TrackerClient

T = TypeVar("T")

#: Columns of a table that goes into a file or a pipe: nothing there needs folding.
_PIPE_WIDTH = 200


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
@click.option("--listen-address", help="Instead of [tracker] listen_address.")
@click.option("--listen-port", type=int, help="Instead of [tracker] listen_port.")
@click.option("--state-dir", help="Instead of [tracker] state_dir.")
def serve(config_files: tuple[str, ...], **overrides: str | int | None) -> None:
    """Serve announces and the API until SIGTERM or SIGINT."""
    from swarm import options, service  # noqa: PLC0415 - heavy
    from swarm.errors import ConfigurationError  # noqa: PLC0415 - heavy
    from tracker import app  # noqa: PLC0415 - heavy
    from tracker.options import list_opts  # noqa: PLC0415 - heavy

    given = [("tracker", name, value) for name, value in overrides.items() if value is not None]
    try:
        conf = options.load(list_opts(), config_files=config_files, overrides=given)
        service.run(partial(app.serve, conf), log_level=conf.swarm.log_level)
    except ConfigurationError as error:
        raise Misconfigured(error.detail) from error


@click.group()
def image() -> None:
    """Look at the images that the tracker knows."""


_tracker_url = click.option(
    "--tracker-url",
    envvar="SWARM_TRACKER_URL",
    default="http://127.0.0.1:6969",
    show_default=True,
    show_envvar=True,
    help="Base URL of the tracker.",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@image.command("list")
@_tracker_url
@_as_json
def list_images(tracker_url: str, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """List all images, newest first."""
    images = _ask(tracker_url, lambda client: client.list_images())
    if as_json:
        from swarm.messages import ImageList  # noqa: PLC0415 - heavy

        click.echo(ImageList(images=images).model_dump_json(indent=2))
    else:
        _print(_table(images))


@image.command("show")
@click.argument("image", metavar="IMAGE")
@_tracker_url
@_as_json
def show_image(image: str, tracker_url: str, as_json: bool) -> None:  # noqa: FBT001 - as above
    """Show IMAGE, given by its id or its name (the newest one of that name)."""
    found = _ask(tracker_url, lambda client: client.find_image(image))
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        _print(_table([found]))


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
    "tried first. Without it: over HTTP to the tracker that is asked.",
)
@_tracker_url
def write_torrent(
    image: str, output: IO[bytes], variant: str, announce_urls: tuple[str, ...], tracker_url: str
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

    data = _ask(tracker_url, fetch)
    output.write(data)  # only now the file is opened


def _ask(tracker_url: str, question: Callable[[TrackerClient], Awaitable[T]]) -> T:
    """Put one question to the tracker; the `swarm` command prints what goes wrong."""
    import asyncio  # noqa: PLC0415 - heavy

    from swarm.tracker_client import TrackerClient  # noqa: PLC0415 - heavy

    async def call() -> T:
        async with TrackerClient(tracker_url) as client:
            return await question(client)

    return asyncio.run(call())


def _table(images: list[ImageDocument]) -> Table:
    from rich import box, filesize  # noqa: PLC0415 - heavy
    from rich.table import Table  # noqa: PLC0415 - heavy

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("id", no_wrap=True)
    for heading in ("name", "size", "disk format"):
        table.add_column(heading, overflow="fold")
    table.add_column("variants", overflow="fold", min_width=len("original: converting"))
    for document in images:
        states = "\n".join(_state(variant) for variant in document.variants)
        cells = (document.name, filesize.decimal(document.size), document.disk_format, states)
        table.add_row(document.id, *(_printable(cell) or "-" for cell in cells))
    return table


def _state(variant: VariantDocument) -> str:
    text = f"{variant.variant.value}: {variant.state.value}"
    return f"{text}: {variant.reason}" if variant.reason else text


def _printable(text: str) -> str:
    """Keep a name that some user gave an image from steering the operator's terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _print(table: Table) -> None:
    from rich.console import Console  # noqa: PLC0415 - heavy

    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(table)
