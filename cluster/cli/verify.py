"""``cluster verify``: does the split model compute what the whole one does?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cluster.api.errors import UsageError
from cluster.cli.settings import add_plan_flags, given_settings, with_projector
from cluster.terminal.printable import printable

if TYPE_CHECKING:
    from cluster.config import ClusterConfig
    from cluster.node.state import ClusterState
    from cluster.planning.programs.inventory import ProgramInventory
    from cluster.verify.compare import Comparison, Finding

DIFFERS = 1
NOTHING_TO_COMPARE = 3


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "verify",
        help="prove that split equals whole",
        description="Compute the same rows with the slices and with the whole model and compare them, bit by bit. "
        "Without MODEL: the cluster that is up, and what it answers itself. Where the whole model does not fit, "
        "stored checksums are compared. Exit code 0: equal, 1: different, 3: nothing to compare with.",
    )
    add_plan_flags(parser, "the model to verify (default: that of the cluster that is up)")
    parser.add_argument("--plan", metavar="FILE", help="cut as the plan says that cluster plan -o json wrote")
    parser.add_argument("--no-whole", action="store_true", help="compare with stored checksums only")
    parser.add_argument("--save", metavar="FILE", help="write checksums, to compare with on another machine")
    parser.add_argument("--against", metavar="FILE", help="compare with checksums that --save wrote")
    parser.add_argument(
        "--tolerance", type=float, default=0.0, metavar="X", help="largest difference that passes (default: 0)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if not options.tolerance >= 0:
        raise UsageError(f"tolerance: {options.tolerance} is not possible; give 0 or more")
    config, state = _subject(options)
    bounds = state.bounds if state else ()
    from cluster.planning.any_plan import take_any
    from cluster.planning.inventory import Inventory
    from cluster.verify.compare import ROUNDING_SHARE
    from cluster.verify.live import compare_live
    from cluster.verify.run import Asked, on_this_machine, verify

    found = take_any(on_this_machine(config, bounds))
    if not isinstance(found, Inventory):
        return _verify_program(found, state, options)
    asked = Asked(bounds, not options.no_whole, options.save, options.against)
    done = verify(found, asked, lambda text: print(printable(text), file=sys.stderr))
    for warning in done.plan.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    share = ROUNDING_SHARE if done.rounding else 0.0
    comparisons = [(done.comparison, share)] if done.comparison else []
    if state is not None:
        comparisons.append((compare_live(done.split, done.steps, state.address), 0.0))
    if len(done.plan.stages) == 1:
        print("nothing is split: one stage has all layers")
    if done.why_not_whole:
        print(printable(f"not compared with the whole model: {done.why_not_whole}"))
    for comparison, allowed in comparisons:
        _print(comparison, options.tolerance, allowed)
    if not all(comparison.passes(options.tolerance, allowed) for comparison, allowed in comparisons):
        return DIFFERS
    if done.comparison is None:
        print(
            "nothing to compare with: there are no stored checksums of this model and these settings; those of this "
            "split were kept. Run cluster verify --save FILE where it fits as a whole, and --against FILE here"
        )
        return NOTHING_TO_COMPARE
    return 0


def _verify_program(found: ProgramInventory, state: ClusterState | None, options: argparse.Namespace) -> int:
    if options.save or options.against or options.no_whole:
        raise UsageError("verify: checksums are kept of models with layers only; of a program leave these flags out")
    compare = _compared_arrays if found.model.text is None else _compared_texts
    num_stages, comparisons = compare(found, state, lambda text: print(printable(text), file=sys.stderr))
    if num_stages == 1:
        print("nothing is split: one stage has all units")
    for comparison in comparisons:
        _print(comparison, options.tolerance)
    return 0 if all(comparison.passes(options.tolerance) for comparison in comparisons) else DIFFERS


def _compared_arrays(
    found: ProgramInventory, state: ClusterState | None, note: Callable[[str], None]
) -> tuple[int, list[Comparison]]:
    """The number of stages, and what was compared."""
    from cluster.client.sync import connect
    from cluster.node.kept_secrets import client_secret_path
    from cluster.verify.programs.run import compare_live_program, verify_program

    done = verify_program(found, state.bounds if state else (), note)
    if state is None:
        return len(done.stages), [done.comparison]
    with connect(state.address, client_secret_path()) as client:
        return len(done.stages), [done.comparison, compare_live_program(done, client.run)]


def _compared_texts(
    found: ProgramInventory, state: ClusterState | None, note: Callable[[str], None]
) -> tuple[int, list[Comparison]]:
    """The same of a program that makes text."""
    from cluster.verify.live import compare_live
    from cluster.verify.programs.text import verify_text

    done = verify_text(found, state.bounds if state else (), note)
    live = [] if state is None else [compare_live(done.split, done.steps, state.address)]
    return len(done.stages), [done.comparison, *live]


def _subject(options: argparse.Namespace) -> tuple[ClusterConfig, ClusterState | None]:
    """The settings to verify; and the cluster that is up, if that is what they are of."""
    from cluster.config import load_config

    settings = given_settings(options)
    if options.plan is not None:
        from cluster.planning.plan_file import checked_settings

        return load_config(None, checked_settings(options.plan, settings)), None
    if options.config or any(value is not None for value in settings.values()):
        return with_projector(load_config(options.config, settings)), None
    from cluster.config import config_of
    from cluster.node.state import read_state

    state = read_state()
    if state is None or not state.ready:
        raise UsageError("verify: no model given and no cluster is up; name a GGUF file, or use --demo")
    return config_of(state.config), state


def _print(comparison: Comparison, tolerance: float, share: float = 0.0) -> None:
    from cluster.terminal.table import format_table

    print(f"against {comparison.against}:")
    rows = [["WHAT", "MAX |DELTA|", "VERDICT"], *(_row(finding, tolerance, share) for finding in comparison.findings)]
    for line in format_table(rows):
        print(f"  {line}")
    if not comparison.num_rows:
        return  # no tokens in it
    share = comparison.num_greedy_equal / max(comparison.num_rows, 1)
    print(f"  greedy agreement: {comparison.num_greedy_equal} of {comparison.num_rows} rows ({share:.1%})")


def _row(finding: Finding, tolerance: float, share: float) -> list[str]:
    delta = "-" if finding.max_delta is None else f"{finding.max_delta:.3g}"
    if finding.is_equal:
        return [finding.what, delta, "equal"]
    if finding.passes(tolerance):
        return [finding.what, delta, "within tolerance"]
    if finding.max_delta is not None and finding.passes(tolerance, share):
        return [
            finding.what,
            delta,
            f"rounded otherwise, {finding.max_delta / finding.largest:.1e} of the largest value",
        ]
    return [finding.what, delta, "DIFFERENT"]
