"""``cluster plan``: where the layers would go, what that takes and how fast it would be. Loads nothing."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cluster.cli.settings import PLAN_SETTINGS, add_plan_flags, add_setting_flags, given_settings, with_projector
from cluster.terminal.printable import printable

if TYPE_CHECKING:
    from cluster.planning.programs.inventory import ProgramInventory
    from cluster.planning.programs.report import ProgramReport, ProgramStageReport
    from cluster.planning.report import LinkReport, PlanReport, StageReport

_BESIDE = ("mmproj",)  # takes memory beside the stages
DOES_NOT_FIT = 3  # the exit code of CapacityError


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "plan",
        help="show where a model's layers would go",
        description="Say where the layers go, what each stage takes, how fast it will be, and what to change. "
        "Nothing is loaded; devices are measured once. On the head of a cluster of several machines that is up, it is "
        "a plan for all of them. Exit code 3: it does not fit.",
    )
    add_plan_flags(parser, "the model to plan for")
    add_setting_flags(parser, _BESIDE)
    parser.add_argument("--explain", action="store_true", help="say why the layers go there")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cluster.actors.asking.planned_for import planned_for
    from cluster.config import load_config
    from cluster.planning.any_plan import take_any
    from cluster.planning.inventory import Inventory
    from cluster.planning.plan_file import to_json
    from cluster.planning.report import PlanReport, report_model
    from cluster.terminal.activity import Activity

    config = with_projector(load_config(options.config, given_settings(options, (*PLAN_SETTINGS, *_BESIDE))))
    with planned_for() as nodes, Activity("measuring devices and memory"):
        taken = take_any(config, nodes)
        found = report_model(taken) if isinstance(taken, Inventory) else _program_report(taken)
    if not isinstance(found, PlanReport):
        _show_program(found, options.output)
    elif options.output == "json":
        print(to_json(found))
    else:
        _print(found, options.explain)
    return 0 if found.fits else DOES_NOT_FIT


def _program_report(taken: ProgramInventory) -> ProgramReport:
    from cluster.planning.programs.report import report_program  # all operations take a while to import

    return report_program(taken)


def _show_program(found: ProgramReport, output: str) -> None:
    import json
    from dataclasses import asdict

    from cluster.terminal.table import format_bytes, format_table

    if output == "json":
        print(json.dumps(asdict(found), indent=1))
        return
    slots = f", {found.ctx_size} tokens in each of {found.parallel} slots" if found.ctx_size else ""
    print(f"{printable(found.model_name)} ({found.architecture}, {found.num_units} units){slots}")
    header = ["STAGE", "NODE", "DEVICE", "UNITS", "WEIGHTS", "BUFFERS", "COMPUTE", "MOST", "SENDS", "WORK"]
    rows = [
        [
            str(stage.stage),
            stage.node,
            stage.device,
            f"[{stage.first},{stage.end})",
            *map(format_bytes, _sizes(stage)),
            f"{stage.work:.0%}",
        ]
        for stage in found.stages
    ]
    for line in format_table([header, *rows]):
        print(line)
    fits = "it fits" if found.fits else "IT DOES NOT FIT"
    shapes = "as many tokens as go at a time" if slots else "the example's shapes"
    print(
        f"\ncompute   what a call of {shapes} takes; most: what any call may\n"
        f"memory    {fits}, with {found.headroom:.0%} of what is free left alone"
    )


def _sizes(stage: ProgramStageReport) -> tuple[int, ...]:
    return stage.weight_bytes, stage.state_bytes, stage.compute_bytes, stage.call_bytes, stage.sent_bytes


def _print(found: PlanReport, explain: bool) -> None:
    from cluster.terminal.table import format_table

    print(
        f"{printable(found.model_name)} ({found.architecture}, {found.num_layers} layers), "
        f"{found.ctx_size} tokens in each of {found.parallel} slots, KV {found.cache_type_k}/{found.cache_type_v}"
    )
    header = ["STAGE", "NODE", "DEVICE", "LAYERS", "WEIGHTS", "KV", "COMPUTE", "LOGITS", "TOTAL", "USABLE", "STEP"]
    for line in format_table([header, *map(_row, found.stages)]):
        print(line)
    speed, fits = found.forecast, "it fits" if found.fits else "IT DOES NOT FIT"
    print(
        f"\nforecast  {speed.one_request_tokens_per_s:.1f} tokens/s for one request, "
        f"{speed.all_slots_tokens_per_s:.1f} with all {found.parallel} slots, at short contexts\n"
        f"          in {speed.num_microbatches} microbatches of up to {speed.rows_per_microbatch} rows"
        f"{', each with all cores' if speed.alone else ''}\n"
        f"slowest   stage {speed.bottleneck}, by {speed.cause}\n"
        f"memory    {fits}, with {found.headroom:.0%} of what is free left alone"
    )
    if found.rounding:
        print(f"rounding  {found.rounding}: numbers differ in their last digits (see: cluster verify)")
    for link in found.links:
        print(printable(f"link      {_link(link)}"))
    for line in found.advice:
        print(printable(f"advice    {line}"))
    for line in found.reasons if explain else ():
        print(printable(f"reason    {line}"))


def _link(link: LinkReport) -> str:
    return f"{link.node} - {link.other}: {link.round_trip_ms:.2f} ms there and back, {link.bytes_per_s / 1e6:,.0f} MB/s"


def _row(stage: StageReport) -> list[str]:
    from cluster.terminal.table import format_bytes

    sizes = (stage.weight_bytes, stage.kv_bytes, stage.compute_bytes, stage.output_bytes)
    return [
        str(stage.stage),
        stage.node,
        stage.device,
        f"[{stage.first},{stage.end})",
        *map(format_bytes, (*sizes, stage.total_bytes, stage.usable_bytes)),
        f"{stage.read_ms + stage.draw_ms + stage.hop_ms:.1f} ms",
    ]
