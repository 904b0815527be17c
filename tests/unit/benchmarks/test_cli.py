"""The lab's command line, as far as nothing is measured."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks import cli
from benchmarks.contestants.table import CONTESTANTS
from benchmarks.report.document import encode
from benchmarks.scenarios.table import SCENARIOS
from tests.unit.benchmarks.runs import report, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = 65534


@contextlib.contextmanager
def somebody_else() -> Iterator[None]:
    """Be nobody during the block, if we are root."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("words", [("run", "flash-crowd"), ("clean",)])
def test_only_root_can_make_networks(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, and status 2."""
    with somebody_else():
        assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert "root" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "flash-croud"), "no scenario flash-croud; there are: "),
        (
            ("run", "flash-crowd", "--contestants", "roles,rsync"),
            f"no contestant rsync; there are: {', '.join(CONTESTANTS)}",
        ),
        (("run", "flash-crowd", "--hosts", "4,500"), "--hosts"),
        (("run", "flash-crowd", "--hosts", "4", "--racks", "5"), "--racks"),
        (("run", "flash-crowd", "--repeat", "0"), "--repeat"),
        (("compare", "/nowhere/a.json", "/nowhere/b.json"), "/nowhere/a.json"),
        (("render", "/nowhere/a.json"), "/nowhere/a.json"),
    ],
)
def test_what_can_not_be_done_is_said_before_anything_is(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the names that there are."""
    assert cli.main(words) == 2
    assert sentence in capsys.readouterr().err


def test_every_scenario_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """With its question, which its module begins with."""
    assert cli.main(["list"]) == 0
    said = capsys.readouterr().out
    for name, scenario in SCENARIOS.items():
        assert scenario.__doc__
        assert f"{name}\n    {scenario.__doc__.splitlines()[0]}\n" in said


@pytest.mark.parametrize("name", SCENARIOS)
def test_options_replace_a_scenarios_defaults(name: str) -> None:
    """Those that are given, and no others."""
    scenario = SCENARIOS[name]
    words = ["run", name, "--hosts", "16,32", "--rate", "10M", "--image", "2M", "--repeat", "1"]
    options = cli._options(scenario, cli._parser().parse_args(words))
    assert options == replace(
        scenario.DEFAULTS, hosts=(16, 32), rate=10_000_000, image_bytes=2 << 20, repeat=1
    )
    assert cli._options(scenario, cli._parser().parse_args(["run", name])) == scenario.DEFAULTS


def test_two_reports_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From their files."""
    for name, last in (("a", 1.0), ("b", 2.0)):
        (tmp_path / f"{name}.json").write_text(encode(report(run(last))))
    assert cli.main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    assert "| 4 hosts | roles | last |" in capsys.readouterr().out


def test_text_and_plots_are_made_anew_from_the_data(tmp_path: Path) -> None:
    """Without measuring again."""
    (tmp_path / "x.json").write_text(encode(report(run(1.0))))
    assert cli.main(["render", str(tmp_path / "x.json")]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        *("x.json", "x.md", "x-completion.png", "x-received.png"),
    }
