"""`python -m benchmarks.tracker run [QUESTION...]`: measures, prints, and writes a report.

A question is one module with a coroutine ``measure``, and one line here. Everything stays on
loopback. It needs two cores, one for the tracker and one for the load, on a quiet machine; and for
some questions opentracker, wrk and gcc.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.tracker import (
    announces_http,
    announces_udp,
    channels,
    introductions,
    join_storm,
    refreshes,
    report,
)

if TYPE_CHECKING:
    from types import ModuleType

#: Each question, and which of the options `seconds` and `repeats` its ``measure`` takes.
QUESTIONS: dict[str, tuple[ModuleType, tuple[str, ...]]] = {
    "announces-udp": (announces_udp, ("seconds", "repeats")),
    "announces-http": (announces_http, ("seconds", "repeats")),
    "refreshes": (refreshes, ("seconds",)),
    "introductions": (introductions, ()),
    "join-storm": (join_storm, ()),
    "channels": (channels, ("seconds",)),
}


def main() -> None:
    """Ask what the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracker", description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="measure, and write a report")
    run.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(QUESTIONS))
    run.add_argument("--seconds", type=int, default=5, help="of one run (default %(default)s)")
    run.add_argument("--repeats", type=int, default=5, help="pairs of runs (default %(default)s)")
    options = parser.parse_args()
    unknown = set(options.questions) - QUESTIONS.keys()
    if unknown:
        parser.error(
            f"no such question: {', '.join(sorted(unknown))}; there are {', '.join(QUESTIONS)}"
        )
    if (os.cpu_count() or 1) < 2:
        parser.error("two cores are needed, or tracker and load would measure each other")
    found: dict[str, dict[str, Any]] = {}
    for name in options.questions or QUESTIONS:
        module, names = QUESTIONS[name]
        sys.stderr.write(f"{name} ...\n")
        found[name] = asyncio.run(module.measure(**{key: getattr(options, key) for key in names}))
        sys.stdout.write(json.dumps({name: found[name]}, indent=1) + "\n")
    questions = {name: QUESTIONS[name][0].__doc__ or name for name in found}
    for path in report.write(found, questions):
        sys.stderr.write(f"written: {path}\n")


if __name__ == "__main__":
    main()
