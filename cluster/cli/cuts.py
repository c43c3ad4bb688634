"""``cluster cuts``: where a model may be cut, and why not elsewhere. Reads the header only."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.cutting.programs.cuts import ProgramCut


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "cuts",
        help="list the places at which a model may be cut",
        description="Where a model may be cut into slices with exact results, and why not elsewhere.",
    )
    parser.add_argument("model", metavar="MODEL", help="path of a GGUF, or of a program (.ggp)")
    parser.add_argument(
        "--allow-rounding", action="store_true", help="also where slices round otherwise than the whole model"
    )
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: table")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from cluster.cutting.header import read_header
    from cluster.cutting.model import Model
    from cluster.cutting.servable import check_servable

    model = check_servable(read_header(options.model))
    if not isinstance(model, Model):
        from cluster.cutting.programs.cuts import cuts_of_program

        (_print_program_json if options.output == "json" else _print_program)(
            model.architecture, cuts_of_program(model)
        )
        return 0
    show = _print_json if options.output == "json" else _print_table
    places = [(place.layer, place.refusal_unless(options.allow_rounding)) for place in model.places]
    cuts_rounded = options.allow_rounding and model.rounded is not None and not all(refusal for _, refusal in places)
    show(model.architecture, model.num_layers, places, model.rounded.how if model.rounded and cuts_rounded else "")
    return 0


def _print_program_json(architecture: str, cuts: Sequence[ProgramCut]) -> None:
    import json
    from dataclasses import asdict

    print(json.dumps({"architecture": architecture, "num_units": len(cuts) + 1, "cuts": [asdict(cut) for cut in cuts]}))


def _print_program(architecture: str, cuts: Sequence[ProgramCut]) -> None:
    from cluster.terminal.table import format_bytes, format_table

    where = _ranges([cut.unit for cut in cuts]) or "none"
    print(f"{architecture}, {len(cuts) + 1} units; it may be cut in front of {where}")
    rows = [[str(cut.unit), cut.op, str(len(cut.arrays)), format_bytes(cut.num_bytes)] for cut in cuts]
    for line in format_table([["UNIT", "BEGINS WITH", "ARRAYS", "BYTES"], *rows]) if rows else ():
        print(line)


def _print_json(architecture: str, num_layers: int, places: list[tuple[int, str]], rounding: str) -> None:
    import json

    cuts = [layer for layer, refusal in places if not refusal]
    refused = {str(layer): refusal for layer, refusal in places if refusal}
    found = {"architecture": architecture, "num_layers": num_layers, "cuts": cuts, "refused": refused}
    print(json.dumps(found | ({"rounding": rounding} if rounding else {})))


def _print_table(architecture: str, num_layers: int, places: list[tuple[int, str]], rounding: str) -> None:
    cuts = [layer for layer, refusal in places if not refusal]
    print(f"{architecture}, {num_layers} layers; it may be cut in front of {_ranges(cuts) or 'none'}")
    if rounding:
        print(f"with rounding of its own: {rounding}")
    refusals: dict[str, list[int]] = {}
    for layer, refusal in places:
        if refusal:
            refusals.setdefault(refusal, []).append(layer)
    for refusal, layers in refusals.items():
        print(f"not in front of {_ranges(layers)}: {refusal}")


def _ranges(layers: list[int]) -> str:
    """ "1-3, 6" for [1, 2, 3, 6]."""
    found: list[list[int]] = []
    for layer in layers:
        if found and found[-1][1] == layer - 1:
            found[-1][1] = layer
        else:
            found.append([layer, layer])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)
