"""Document: measurements kept in a Markdown file, a section for each machine, model and cut."""

from __future__ import annotations

import re
from pathlib import Path

from cluster.api.errors import UsageError
from cluster.bench.report.plot import plot_svg
from cluster.bench.report.tables import to_markdown
from cluster.bench.summary import BenchReport
from cluster.node.machine import count_threads
from cluster.terminal.table import format_bytes

INTRODUCTION = """# Benchmarks

Each section was written by `cluster bench ... --write`, losses included; the same command on the same kind of machine
replaces it.

- `pp512` is a prompt of 512 tokens up to its first token; `tg128 x8` is 128 tokens by each of 8 streams that begin with
  one token. Greedy, random prompts, one short run of each row before the first that counts.
- Ours goes through the Python client and the whole cluster: client, coordinator, stages and Ray's own processes share
  the machine's cores.
- `one process` is unpatched llama.cpp with the whole model and all cores, one batch over all sequences, timed inside of
  its process. `RPC` is llama.cpp's own RPC with one server per stage on loopback, cut where our stages are; its servers
  hold weights in the plain layout (llama.cpp repacks none there), ours and the one process in the CPU's.
- The peers have the same context, slots, cache types, flash attention, rows per microbatch and prompts, and else
  llama.cpp's defaults. All stay loaded, and the runs alternate: ours, RPC, RPC, one process, ours, ...
"""


def write_document(path: Path, report: BenchReport) -> None:
    """Add the report's section to the file at `path`, or replace it, and its plot beside it. UsageError."""
    title = section_title(report)
    plot_name = f"{path.stem}-{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}.svg"
    section = f"## {title}\n\n{_facts(report)}\n\n{to_markdown(report)}"
    if report.results:
        section += f"\n![tokens per second]({plot_name})\n"
    try:
        old = path.read_text(encoding="utf-8") if path.exists() else INTRODUCTION
        if report.results:
            path.with_name(plot_name).write_text(plot_svg(report.results, title), encoding="utf-8")
        path.write_text(with_section(old, title, section), encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}; give --write a file that can be written") from error


def with_section(document: str, title: str, section: str) -> str:
    """The document with `section` in the place of the one of that title, or at the end. Pure."""
    head, *others = re.split(r"^(?=## )", document, flags=re.MULTILINE)
    titles = [part.splitlines()[0].removeprefix("## ") for part in others]
    if title in titles:
        others[titles.index(title)] = section
    else:
        others.append(section)
    return "\n\n".join(part.strip() for part in (head, *others)) + "\n"


def section_title(report: BenchReport) -> str:
    """What a measurement is of; a new one of the same replaces the old."""
    assert report.status is not None, "a report without a cluster"
    machine = report.machine.gpus[0] if report.status.stages[0].device != "CPU" and report.machine.gpus else ""
    machine = machine.partition(": ")[2] or f"{report.machine.processor}, {report.machine.num_cores} cores"
    stages = len(report.status.stages)
    return f"{report.status.model}, {stages} stages x {count_threads(report.num_threads)}, {machine}"


def _facts(report: BenchReport) -> str:
    machine, status = report.machine, report.status
    assert status is not None, "a report without a cluster"
    plan = "; ".join(
        f"stage {stage.stage} layers [{stage.first}, {stage.end}) on {stage.device}" for stage in status.stages
    )
    gpus = f"; {'; '.join(machine.gpus)}" if machine.gpus else ""
    lines = [
        f"- machine: {machine.processor}, {machine.num_cores} cores, {format_bytes(machine.memory_bytes)}{gpus}; "
        f"{machine.system}; busy with something else before: {machine.busy_cores_before:.2f} cores",
        f"- model: {status.model} ({status.architecture}, {format_bytes(report.model_bytes)}), "
        f"hash `{status.model_hash}`",
        f"- plan: {plan}; {count_threads(report.num_threads)} per CPU stage, {status.num_slots} slots of "
        f"{status.context_length} tokens",
        f"- versions: {', '.join(machine.versions)}",
        f"- measured {report.date} by `{report.command}`",
    ]
    return "\n".join(lines)
