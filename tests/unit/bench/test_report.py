"""What is printed and written of known results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cluster.api.errors import UsageError
from cluster.api.status import ClusterStatus, Health, StageActivity, StageFacts, StageStatus
from cluster.bench.options import GapsSettings, PrefixSettings, SoakSettings
from cluster.bench.report.document import section_title, with_section, write_document
from cluster.bench.report.plot import plot_svg
from cluster.bench.report.tables import compare_rows, markdown_table, to_json, to_markdown
from cluster.bench.request import RequestTimes
from cluster.bench.scenarios.chunking import chunking_figures
from cluster.bench.scenarios.gaps import GapsRun, gaps_figures
from cluster.bench.scenarios.prefix import PrefixRun, prefix_figures
from cluster.bench.scenarios.serve import serve_figures
from cluster.bench.scenarios.soak import MemorySample, soak_figures
from cluster.bench.settings import BenchSettings
from cluster.bench.steps import step_figures
from cluster.bench.summary import BenchReport, PeerResult, Result
from cluster.bench.workload import Workload
from cluster.messages.step import StepId, StepTiming
from cluster.node.machine import Machine, busy_cores

FACTS = StageFacts(0, "node", "CPU", 0, 4, Health(), 1, 1, 1, 1, 1)
STAGE = StageStatus(FACTS, StageActivity(), "127.0.0.1:1")
STATUS = ClusterStatus("m.gguf", "ab" * 32, "llama", Health(), "127.0.0.1:1", 1, 256, 8, 0, 0, 0, 0, 1.0, 100, (STAGE,))
MACHINE = Machine("Some CPU", 2, 2**34, (), "Linux 6.1", 0.5, ("a 1", "b 2"))
STEPS_SEEN = [StepTiming(StepId(1, 0, 0), 0, 4, 0, 75_000_000, 0)]
STEPS = step_figures([STEPS_SEEN], ["node"])


def result(name: str = "one & only", theirs: tuple[float, ...] = (5.0, 8.0, 4.0)) -> Result:
    return Result(Workload("tg", 32, 8), (10.0, 12.0, 11.0), STEPS, (PeerResult(name, theirs),))


def report(results: tuple[Result, ...] = (), missing: tuple[str, ...] = ()) -> BenchReport:
    figures = serve_figures([RequestTimes(3, 0.0, (0.5, 0.75))])
    found = BenchReport(BenchSettings("m"), "cluster bench x", "2020-01-01", MACHINE, 2**20, STATUS, 1)
    found.results, found.serve, found.missing = list(results), figures, list(missing)
    return found


def with_scenarios() -> BenchReport:
    """A report of everything, in round numbers."""
    found = report((result(),))
    stream = (0.0, 1.0, 2.0, 3.0, 5.0, 6.0)
    found.gaps = gaps_figures(GapsSettings(1, 64), [GapsRun((stream,), 0.5, 3.5, 4.5, 250.0)])
    cold, warm = (RequestTimes(216, 0.0, (time_s,), (7,), cached) for time_s, cached in ((0.8, 0), (0.1, 200)))
    found.prefix = prefix_figures(PrefixSettings(200), [PrefixRun(warm, cold)])
    found.chunking = chunking_figures(8192, 16, True, [100.0, 110.0], [190.0, 176.0])
    samples = [MemorySample(count, (10**8 + 2000 * count,), 5 * 10**7) for count in (0, 50, 100)]
    found.soak = soak_figures(SoakSettings(100, 4), 9.0, samples, STEPS_SEEN, STEPS_SEEN, 1)
    return found


def test_ratios_are_of_runs_side_by_side() -> None:
    head, row = compare_rows([result()])
    assert head == ["test", "t/s", "one & only", "vs one & only"]
    assert row == ["tg32 x8", "11.00 ± 1.00", "5.67 ± 2.08", "2.00 [1.50, 2.75]"]


def test_a_peer_that_is_only_in_one_row_leaves_a_gap_in_the_other() -> None:
    alone = Result(Workload("pp", 64, 1), (1.0,), STEPS, ())
    rows = compare_rows([result(), alone])
    assert rows[2] == ["pp64", "1.00 ± 0.00", "-", "-"]


def test_markdown_names_rows_figures_and_what_is_missing() -> None:
    text = to_markdown(report((result(),), ("RPC 2 x 1 thread: not built in",)))
    assert (
        "| m.gguf | 1.0 MiB | 1      | 1       | tg32 x8 | 11.00 ± 1.00 | -        | -     | 100    | 0        |"
        in text
    )
    assert "Not compared: RPC 2 x 1 thread: not built in" in text
    assert "| TTFT (ms)                       | 500.00 | 500.00 | 500.00 |" in text


def test_the_forecast_stands_beside_what_was_measured() -> None:
    found = report((replace(result(), forecast_tokens_per_s=8.8), result()))
    assert "| 11.00 ± 1.00 | 8.80     | 1.25  |" in to_markdown(found)
    rows = json.loads(to_json(found))["results"]
    assert [row["forecast_tokens_per_s"] for row in rows] == [8.8, None]
    assert [row["measured_to_forecast"] for row in rows] == [pytest.approx(1.25), None]


def test_markdown_has_a_block_for_each_scenario() -> None:
    text = " ".join(to_markdown(with_scenarios()).split())
    for line in (
        "| 1 streams, a prompt of 64 tokens | median |",
        "| p99 during / median before | 2.00 |",
        "| first token alone (ms) | 250.00 |",
        "| cold / warm | 8.00 |",
        "| cached tokens, warm (least) | 200 |",
        "| equal greedy texts | 1 of 1 |",
        "| one / several | 1.75 |",
        "| stage 0 | 100.2 | +1.000 | 75.00 (75.00) | 75.00 (75.00) |",
        "| coordinator | 50.0 | +0.000 |",
    ):
        assert line in text, line


def test_json_has_the_scenarios() -> None:
    found = json.loads(to_json(with_scenarios()))
    assert found["gaps"]["ratio"]["median"] == 2.0
    assert found["prefix"]["warm_cached_tokens"] == 200
    assert found["chunking"]["ratio"]["median"] == 1.75
    assert found["soak"]["stage_mb_per_500"] == [pytest.approx(1.0)]


def test_what_failed_is_named() -> None:
    found = report()
    found.failed.append("gaps: a stream ended after 9 tokens; give a larger -c")
    assert "Failed: gaps: a stream ended after 9 tokens" in to_markdown(found)
    assert json.loads(to_json(found))["failed"] == found.failed


def test_markdown_tables_are_as_wide_in_every_row() -> None:
    lines = markdown_table([["a", "bb"], ["cccc", "d"]]).splitlines()
    assert lines == ["| a    | bb  |", "|------|-----|", "| cccc | d   |"]


def test_json_has_the_runs_and_the_ratios() -> None:
    found = json.loads(to_json(report((result(),))))
    (row,) = found["results"]
    assert row["test"] == "tg32 x8"
    assert row["tokens_per_s"] == [10.0, 12.0, 11.0]
    assert row["peers"][0]["ratio"]["median"] == 2.0
    assert found["status"]["model_hash"] == "ab" * 32


def test_plot_is_xml_with_a_bar_and_a_whisker_for_each() -> None:
    root = ElementTree.fromstring(plot_svg([result(), result()], "a < b"))
    shapes = [element.tag.rpartition("}")[2] for element in root]
    assert shapes.count("rect") == 1 + 2 + 2 * 2  # paper, key, bars
    assert shapes.count("line") == 5 + 2 * 2  # axis, whiskers
    texts = [element.text for element in root if element.tag.endswith("text")]
    assert "a < b" in texts
    assert "one & only" in texts


def test_bars_are_as_high_as_their_figures() -> None:
    root = ElementTree.fromstring(plot_svg([result(theirs=(5.5, 5.5, 5.5))], ""))
    ours, theirs = [float(e.get("height", 0)) for e in root if e.tag.endswith("rect")][-2:]
    assert theirs == pytest.approx(ours / 2, abs=0.2)


def test_a_section_replaces_the_one_of_its_title() -> None:
    document = with_section("# Head\n\ntext\n", "A", "## A\n\nold\n")
    document = with_section(document, "B", "## B\n\nother\n")
    document = with_section(document, "A", "## A\n\nnew\n")
    assert document == "# Head\n\ntext\n\n## A\n\nnew\n\n## B\n\nother\n"


def test_the_document_says_of_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    found = report((result(),))
    write_document(path, found)
    write_document(path, found)
    text = path.read_text()
    assert text.count(f"## {section_title(found)}") == 1
    for fact in ("Some CPU", "16.0 GiB", "ab" * 32, "layers [0, 4) on CPU", "b 2", "cluster bench x", "0.50 cores"):
        assert fact in text
    (plot,) = tmp_path.glob("*.svg")
    assert f"({plot.name})" in text


def test_a_document_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--write"):
        write_document(tmp_path / "missing" / "x.md", report())


def test_busy_cores_are_cores() -> None:
    assert 0 <= busy_cores(0.05) < 4096
