"""A report as data, as text, as plots, and as files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchmarks.report.document import decode, encode
from benchmarks.report.files import Files
from benchmarks.report.markdown import markdown
from benchmarks.scenario import Target
from swarm.errors import ConfigurationError
from tests.unit.benchmarks.runs import failed, report, run

if TYPE_CHECKING:
    from pathlib import Path


def test_data_is_read_as_it_was_written() -> None:
    """But for the points of curves, and the places behind the point."""
    targets = (Target("last", "last", at_most=1.03, case={"hosts": 4}),)
    before = report(run(1.25), failed("chain", "it broke"), targets=targets, partial="why")
    after = decode(encode(before))
    assert encode(after) == encode(before)
    assert (after.targets, after.partial, after.machine) == (targets, "why", before.machine)
    assert after.runs[1] == before.runs[1]
    assert after.runs[0].figures == before.runs[0].figures


@pytest.mark.parametrize("hosts", [1, 8, 32])
def test_curves_are_thinned_and_keep_their_ends(hosts: int) -> None:
    """A file with many runs stays small."""
    before = run(2.0, hosts=hosts)
    assert len(before.times) == 201, "the premise"
    (after,) = decode(encode(report(before))).runs
    assert len(after.times) <= 100
    assert len(after.times) * hosts <= 800
    assert (after.times[0], after.times[-1]) == (before.times[0], before.times[-1])
    assert after.curves.keys() == before.curves.keys()
    assert all(len(curve) == len(after.times) for curve in after.curves.values())
    assert all(curve[-1] == before.curves[name][-1] for name, curve in after.curves.items())


def test_a_run_is_a_line() -> None:
    """So that two reports can be read side by side."""
    text = encode(report(run(1.0), run(1.1)))
    assert sum('"contestant":"roles"' in line for line in text.splitlines()) == 2
    assert json.loads(text)["format"] == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 2}', "7"])
def test_what_is_no_report_is_refused(text: str) -> None:
    """Whatever else it may be."""
    with pytest.raises(ConfigurationError, match="report"):
        decode(text)


def lines_of(text: str, start: str) -> list[str]:
    """Return the lines that begin with ``start``."""
    return [line for line in text.splitlines() if line.startswith(start)]


def test_the_text_has_a_table_for_each_case() -> None:
    """With minimum, median and maximum of the runs that count, and how many those are."""
    made = report(
        *(run(last, source_sent=1.5, cpu_seconds_per_gib_agent=2.5) for last in (1.1, 1.2, 1.4)),
        run(9.0, busy=0.95),
        run(1.05, contestant="chain"),
        run(1.0, hosts=2),
    )
    text = markdown(made)
    assert lines_of(text, "## ") == ["## 4 hosts", "## 2 hosts"]
    (ours, two) = lines_of(text, "| roles |")
    assert "| 1.100 / 1.200 / 1.400 | " in ours
    assert "| 1.500 |" in ours
    assert "| agent 2.5 |" in ours
    assert ours.endswith("| 50 % | 3 of 4 |")
    assert two.endswith("| 1 of 1 |")
    (busy,) = lines_of(text, "| roles \\*")
    assert busy.endswith("| 95 % | none |")
    assert "\n\\* The cores were" in text
    (chain,) = lines_of(text, "| chain")
    assert " - " in chain, "it has no such figures"


def test_the_text_says_how_it_was_measured() -> None:
    """The question, the command, the machine, the programs that there are."""
    text = markdown(report(run(1.0)))
    assert text.startswith("# How long until all have it?\n\nThe last host.\n")
    assert "    python -m benchmarks run flash-crowd\n" in text
    assert "2, 4 hosts in 1 rack, links 32 Mbit/s, image 64 MiB, 3 repeats of roles, chain" in text
    assert "a processor, 2 cores, 8 GiB; Linux 6.1; Python 3.11.7; libtorrent 2.1.1." in text
    assert "rtorrent" not in text
    assert "Partial" not in text
    assert "The cores were" not in text


def test_the_text_says_what_failed_and_what_is_missing() -> None:
    """In a sentence each."""
    text = markdown(report(failed("chain", "it broke\nwith a log"), partial="it was interrupted"))
    assert "**Partial: it was interrupted.**" in text
    assert "- chain, 4 hosts: it broke\n" in text
    assert "with a log" not in text
    (row,) = lines_of(text, "| chain")
    assert row.endswith("| 0 of 1 |")


def test_the_text_says_which_targets_are_met() -> None:
    """Those that this run was about."""
    targets = (
        Target("four, last host", "last", at_most=1.03, case={"hosts": 4}),
        Target("sixteen, last host", "last", at_most=1.03, case={"hosts": 16}),
        Target("any, median", "median", at_most=1.05),
        Target("a figure that nobody has", "nothing", at_least=400),
    )
    text = markdown(report(run(1.07), targets=targets))
    assert "| four, last host | roles | <= 1.030 | 1.070 | **no** |" in text
    assert "| any, median | roles | <= 1.050 | 1.059 (4 hosts) | **no** |" in text
    assert "| a figure that nobody has | roles | >= 400 | - | not known |" in text
    assert "sixteen" not in text


def test_there_is_a_file_for_each_report_of_a_day(tmp_path: Path) -> None:
    """None is overwritten; without runs there is none."""
    for number in range(2):
        made = report(run(1.0), run(1.1, hosts=2))
        files = Files(made, tmp_path)
        files.save()
        assert files.data.exists()
        written = files.finish(None)
        assert {path.suffix for path in written} == {".json", ".md", ".png"}
        stem = "2026-11-24-flash-crowd" + "-2" * number
        assert {path.name for path in written} == {
            f"{stem}.json",
            f"{stem}.md",
            *(f"{stem}-{plot}.png" for plot in ("hosts", "completion", "received")),
        }
    assert Files(report(), tmp_path / "none").finish("it was interrupted") == []
    assert not (tmp_path / "none").exists()


def test_plots_are_drawn_only_of_what_there_is(tmp_path: Path) -> None:
    """One number of hosts is no curve; a scenario without crowds has no plot at all."""
    one = Files(report(run(1.0)), tmp_path).finish(None)
    assert [path.name for path in one if path.suffix == ".png"] == [
        "2026-11-24-flash-crowd-completion.png",
        "2026-11-24-flash-crowd-received.png",
    ]
    bare = run(1.0)
    bare.completed, bare.times, bare.curves = {}, [], {}
    assert not [
        path for path in Files(report(bare), tmp_path).finish(None) if path.suffix == ".png"
    ]
