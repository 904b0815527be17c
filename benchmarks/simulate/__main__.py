"""`python -m benchmarks.simulate`: one world, the fixed set of questions, or the lab beside it."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from swarm.errors import ConfigurationError

try:
    from benchmarks.simulate import check, report
    from benchmarks.simulate.answers import answers
    from benchmarks.simulate.figures import figures
    from benchmarks.simulate.questions import questions
    from benchmarks.simulate.swarm import simulate
    from benchmarks.simulate.world import ARRIVALS, HANDOUTS, SLICES, World
except ModuleNotFoundError as error:
    if error.name != "numpy":
        raise
    sys.exit("the simulation needs numpy: pip install -e '.[bench]'")

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.simulate.answers import Answer

_WRONG = 2
#: Options that are not simply the name of a world's field.
_NAMES = {"handout": "policy"}
_CHOICES = {"handout": HANDOUTS, "slices": SLICES, "arrival": ARRIVALS}


def main(words: Sequence[str] | None = None) -> int:
    """Do what the words of the command line say; return the exit status.

    0 if all went well, 1 if the simulation is not what the lab measured, 2 if it could not begin.
    """
    words = sys.argv[1:] if words is None else words
    arguments = _parser().parse_args(words)
    try:
        if arguments.check is not None:
            return _check(arguments.check)
        if arguments.questions is not None:
            return _questions(arguments, f"python -m benchmarks.simulate {shlex.join(words)}")
        return _one(arguments)
    except ConfigurationError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201 - to who called
        return _WRONG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate", description=__doc__)
    world = parser.add_argument_group("the world", "explained in benchmarks/simulate/world.py")
    for field in fields(World):
        name = _NAMES.get(field.name, field.name)
        world.add_argument(
            f"--{name.replace('_', '-')}",
            dest=field.name,
            type=type(field.default),
            choices=_CHOICES.get(field.name),
            default=field.default,
            help="(default %(default)s)",
        )
    world.add_argument(
        "--no-slices", dest="slices", action="store_const", const="none", help="as --slices none"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--questions",
        nargs="?",
        const="100,1000,10000",
        metavar="HOSTS",
        help="answer the fixed set of questions for crowds of so many (default %(const)s), and "
        "write a dated report",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="processes that answer them"
    )
    parser.add_argument("--results", type=Path, default=report.RESULTS, metavar="DIRECTORY")
    parser.add_argument(
        "--check",
        nargs="?",
        const="",
        metavar="FILE",
        help="compare with a report of the lab (JSON); without FILE, with what was once measured",
    )
    return parser


def _one(arguments: argparse.Namespace) -> int:
    world = World(**{field.name: getattr(arguments, field.name) for field in fields(World)})
    found = figures(simulate(world))
    for name, value in found.items():
        print(f"{name.replace('_', ' '):24} {value:.4g}")  # noqa: T201
    if arguments.json is not None:
        told = report.finite({"world": asdict(world), "figures": found})
        arguments.json.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")
    return 0


def _questions(arguments: argparse.Namespace, command: str) -> int:
    try:
        hosts = tuple(int(count) for count in arguments.questions.split(","))
    except ValueError:
        raise ConfigurationError("--questions: numbers of hosts, such as 100,1000") from None
    compared = check.compare()
    paths: list[Path] = []
    known: dict[int, Answer] = {}
    for number, found in answers(list(questions(hosts)), arguments.jobs):
        known[number] = found
        print(f"{found.case}: last {found.figures['last']:.3f} ({found.seconds:.0f} s)", flush=True)  # noqa: T201
        # After each, so that what is known is kept whatever ends a long run.
        told = [known[number] for number in sorted(known)]
        paths = report.write(told, compared, command, arguments.results)
    print(*(f"written: {path}" for path in paths), sep="\n")  # noqa: T201
    return 0


def _check(path: str) -> int:
    compared = check.compare(check.measured(Path(path)) if path else check.BY_HAND)
    print("\n".join(report.check_lines(compared)))  # noqa: T201
    return 0 if compared and all(one.is_close or one.measured.remark for one in compared) else 1


if __name__ == "__main__":
    sys.exit(main())
