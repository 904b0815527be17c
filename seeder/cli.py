"""The `swarm seeder` commands."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from swarm.errors import ConfigurationError


@click.group()
def seeder() -> None:
    """Turn images into torrents, and seed them."""


@seeder.command()
@click.option(
    "--config-file",
    "config_files",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration file; of several, later ones win.",
)
@click.option("--source", help="directory or glance.")
@click.option("--directory", help="The directory of images of --source directory.")
@click.option("--state-dir", help="The seeder's own directory.")
@click.option("--node", help="Name of this node; the host name unless given.")
@click.option("--tracker-url", help="Base URL of the tracker.")
@click.option("--listen-address", help="Address of the seeder's API.")
@click.option("--listen-port", type=int, help="Port of the seeder's API; 0 takes a free one.")
@click.option("--engine-address", help="Address that peers connect to.")
@click.option("--engine-port", type=int, help="Port that peers connect to; 0 takes a free one.")
def serve(config_files: tuple[Path, ...], **given: str | int | None) -> None:
    """Run the seeder until SIGTERM or SIGINT."""
    from seeder import app  # noqa: PLC0415 - `swarm --help` needs none of it
    from seeder.options import load  # noqa: PLC0415 - likewise
    from swarm import service  # noqa: PLC0415 - likewise

    try:
        conf = load([str(path) for path in config_files], given)
        service.run(partial(app.serve, conf), log_level=conf.swarm.log_level)
    except ConfigurationError as error:
        click.echo(f"Error: {error.detail}", err=True)
        sys.exit(2)
