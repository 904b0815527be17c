"""Tables on a terminal or in a pipe, made of text that somebody else may have chosen."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

#: Columns of a table that goes into a file or a pipe: nothing there needs folding.
_PIPE_WIDTH = 200


def table(*headings: str) -> Table:
    """Return an empty table whose cells fold."""
    made = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def printable(text: str) -> str:
    """Keep a name that some user gave an image from steering the operator's terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def print_table(made: Table) -> None:
    """Print a table, as wide as the terminal or the pipe allows."""
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(made)
