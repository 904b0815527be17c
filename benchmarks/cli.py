"""The lab's command line: `python -m benchmarks list|run|compare|render|clean`."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import quantities
from benchmarks.contestants.table import CONTESTANTS
from benchmarks.interruption import Interrupted, interruptible
from benchmarks.lab import lab, network
from benchmarks.lab.plan import Shape
from benchmarks.measurement import measure
from benchmarks.report import plots
from benchmarks.report.comparison import comparison
from benchmarks.report.document import begin, read
from benchmarks.report.files import RESULTS, render
from benchmarks.report.markdown import options_text, rows
from benchmarks.report.summary import case_text, groups
from benchmarks.scenarios.table import SCENARIOS
from swarm.errors import ConfigurationError, SwarmError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from benchmarks.report.document import Report
    from benchmarks.scenario import Options, Scenario

_WRONG, _FAILED = 2, 1
#: Columns that a terminal has no room for.
_WIDE = ("median host", "last / median", "CPU s/GiB", "peak MiB")


def main(words: Sequence[str] | None = None) -> int:
    """Do what the words of the command line say; return the exit status.

    0 if all went well, 1 if something failed, 2 if it could not begin, 128 and the signal's number
    if one ended it.
    """
    words = sys.argv[1:] if words is None else words
    arguments = _parser().parse_args(words)
    arguments.command = f"python -m benchmarks {shlex.join(words)}"
    try:
        return int(arguments.act(arguments))
    except Interrupted as interruption:
        print(interruption, file=sys.stderr)  # noqa: T201 - to who interrupted
        return interruption.status
    except KeyboardInterrupt:  # before anything was made
        return 128 + signal.SIGINT
    except ConfigurationError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201 - to who called
        return _WRONG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, act: Callable[[Any], int], about: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about)
        made.set_defaults(act=act)
        return made

    command("list", _list, "show the scenarios, and what they measure by default")
    _add_run_options(command("run", _run, "measure scenarios, and write a report of each"))
    two = command("compare", _compare, "compare two reports' JSON files, figure by figure")
    two.add_argument("before", type=Path, metavar="A")
    two.add_argument("after", type=Path, metavar="B")
    again = command("render", _render, "write the text and the plots of a report's JSON anew")
    again.add_argument("report", type=Path, metavar="JSON")
    command("clean", _clean, "remove what labs left behind whose processes are gone")
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenarios", nargs="+", metavar="SCENARIO", help=", ".join(SCENARIOS))
    values = parser.add_argument_group("what is measured, where it is not a scenario's default")
    values.add_argument("--hosts", type=_argument(_counts), metavar="2,4,8")
    values.add_argument("--racks", type=int, metavar="N")
    values.add_argument(
        "--rate",
        type=_argument(quantities.rate),
        metavar="50M",
        help="bits per second of a host's link, each way; 0: not shaped",
    )
    values.add_argument(
        "--uplink",
        type=_argument(quantities.rate),
        metavar="100M",
        help="bits per second of a rack's uplink, each way; 0: not shaped",
    )
    values.add_argument(
        "--image", type=_argument(quantities.size), dest="image_bytes", metavar="64M"
    )
    values.add_argument("--repeat", type=int, metavar="5")
    values.add_argument(
        "--contestants",
        type=lambda text: tuple(text.split(",")),
        metavar="A,B",
        help=", ".join(CONTESTANTS),
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        metavar="DIRECTORY",
        help="where reports are written (default %(default)s)",
    )


def _argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Have argparse say what is wrong with a value."""

    def parsed(text: str) -> Any:  # noqa: ANN401 - as argparse has it
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed


def _counts(text: str) -> tuple[int, ...]:
    if not all(part.isdecimal() for part in text.split(",")):
        raise ValueError(f"{text!r}: numbers of hosts, such as 2,4,8")
    return tuple(map(int, text.split(",")))


def _list(_: argparse.Namespace) -> int:
    for name, scenario in SCENARIOS.items():
        question = (scenario.__doc__ or "").strip().partition("\n")[0]
        print(f"{name}\n    {question}\n    {options_text(asdict(scenario.DEFAULTS))}")  # noqa: T201
    return 0


def _run(arguments: argparse.Namespace) -> int:
    chosen = {name: _scenario(name) for name in arguments.scenarios}
    options = {name: _options(scenario, arguments) for name, scenario in chosen.items()}
    network.check()
    plots.check()
    console = Console(stderr=True)
    failed = False
    for name, scenario in chosen.items():
        report = begin(name, scenario, options[name], arguments.command)
        console.print(
            f"{name}: {options_text(report.options)}", highlight=False, markup=False, soft_wrap=True
        )
        work = measure(scenario, options[name], report, arguments.results, console)
        try:
            asyncio.run(interruptible(work))
        except SwarmError as error:
            console.print(f"{name}: {error.detail}", highlight=False, markup=False, soft_wrap=True)
            failed = True
        failed |= any(run.failure is not None for run in report.runs)
        _show(report, Console())
    return _FAILED if failed else 0


def _scenario(name: str) -> Scenario:
    if name not in SCENARIOS:
        raise ConfigurationError(f"no scenario {name}; there are: {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


def _options(scenario: Scenario, arguments: argparse.Namespace) -> Options:
    """Return a scenario's defaults, but for what was asked for.

    Raises :class:`~swarm.errors.ConfigurationError` for what can't be measured.
    """
    asked: Mapping[str, Any] = {
        name: value
        for name in vars(scenario.DEFAULTS)
        if (value := getattr(arguments, name, None)) is not None
    }
    options = replace(scenario.DEFAULTS, **asked)
    for hosts in options.hosts:
        Shape(hosts, options.racks, options.rate, options.uplink)
    if options.repeat < 1 or options.image_bytes < 1:
        raise ConfigurationError("--repeat, --image: at least 1")
    known = {**CONTESTANTS, **dict.fromkeys(scenario.DEFAULTS.contestants)}
    unknown = [name for name in options.contestants if name not in known]
    if unknown:
        raise ConfigurationError(
            f"no contestant {', '.join(unknown)}; there are: {', '.join(known)}"
        )
    return options


def _show(report: Report, console: Console) -> None:
    """Print the tables of a report."""
    found = groups(report.runs)
    for case in _unique(group.case for group in found):
        head, body = rows([group for group in found if group.case == case])
        shown = [index for index, name in enumerate(head) if name not in _WIDE]
        title = f"{report.scenario}: {case_text(case)} (minimum / median / maximum)"
        table = Table(title=title, title_justify="left", box=box.SIMPLE)
        for index in shown:
            table.add_column(head[index])
        for line in body:
            table.add_row(*(line[index].replace("\\*", "*") for index in shown))
        console.print(table)


def _unique(cases: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list({tuple(case.items()): case for case in cases}.values())


def _compare(arguments: argparse.Namespace) -> int:
    text = comparison(read(arguments.before), read(arguments.after))
    sys.stdout.write(text)
    return 0


def _render(arguments: argparse.Namespace) -> int:
    path: Path = arguments.report
    for written in render(read(path), path.parent, path.stem):
        print(f"written: {written}")  # noqa: T201 - to who called
    return 0


def _clean(_: argparse.Namespace) -> int:
    removed = asyncio.run(interruptible(lab.clean()))
    print("\n".join(f"removed: {name}" for name in removed) or "nothing was left behind")  # noqa: T201
    return 0
