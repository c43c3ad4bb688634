"""Where a program may be cut, and what goes over each of these places, as data."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.cutting.programs.model import ProgramModel
from ggml.programs.slices.part import value_name


@dataclass(frozen=True, slots=True)
class ProgramCut:
    """The place in front of `unit`, whose first operation is `op`. `num_bytes`: of what was computed before, for the
    example's shapes."""

    unit: int
    op: str
    arrays: tuple[str, ...]
    num_bytes: int


def cuts_of_program(model: ProgramModel) -> tuple[ProgramCut, ...]:
    """All of them. Of a program that makes text, stages have the tokens and their positions anyway."""
    graph, first = model.graph, len(model.graph.inputs) if model.text else 0
    return tuple(
        ProgramCut(
            unit,
            graph.nodes[place.node].op,
            tuple([value_name(graph, one) for one in place.values if one >= first]),
            place.num_bytes,
        )
        for unit, place in enumerate(model.places, 1)
    )
