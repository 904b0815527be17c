"""The `swarm` command.

Roles hang their commands in by the entry-point group ``swarm.commands``, so that this file imports
none of them, and a command is imported only when it is asked for.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

from swarm import __version__
from swarm.errors import SwarmError


class Commands(click.Group):
    """The commands of all installed roles; an error of ours is printed without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return sorted(point.name for point in entry_points(group="swarm.commands"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        found = entry_points(group="swarm.commands", name=cmd_name)
        command = next(iter(found)).load() if found else None
        return command if isinstance(command, click.Command) else None

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command; exit status 1 for an error of ours, with what to do about it."""
        try:
            return super().invoke(ctx)
        except SwarmError as error:
            click.echo(f"Error: {error.detail}\n{error.remedy}", err=True)
            sys.exit(1)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="swarm")
def main() -> None:
    """Bring Glance images to many hosts over a private swarm."""


@click.group()
def config() -> None:
    """Look at the options of all roles."""


@config.command()
def sample() -> None:
    """Print a configuration file with every option, its default and what it means."""
    from oslo_config import generator  # noqa: PLC0415 - slow to import

    names = ["engine", "tracker", "seeder", "peer"]
    arguments = [f"--namespace=glance_swarm.{name}" for name in names]
    generator.main([*arguments, "--wrap-width=96"])


@click.command()
@click.option(
    "--image",
    "images",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="A file to bring to the agents as well; can be given more than once.",
)
@click.option("--agents", default=5, show_default=True, type=click.IntRange(1, 64))
@click.option(
    "--size",
    default=512,
    show_default=True,
    type=click.IntRange(0, 1 << 20),
    help="MiB of the generated image; 0: none, only the given files.",
)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Work and stay here; without it, in a temporary directory that is removed.",
)
def demo(images: tuple[Path, ...], agents: int, size: int, directory: Path | None) -> None:
    """Bring an image to several agents on this machine, and check every copy."""
    from swarm.demo.run import run_demo  # noqa: PLC0415 - slow to import

    if not images and not size:
        raise click.UsageError("--size 0 needs an --image")
    sys.exit(run_demo(list(images), agents=agents, size_bytes=size << 20, directory=directory))
