"""What makes a graph smaller without changing what it computes: one file a pass."""

from __future__ import annotations

from ggml.programs.graph import Graph
from ggml.programs.passes.dead import without_dead
from ggml.programs.passes.identity import without_identities
from ggml.programs.passes.repeated import without_repeated


def simplified(graph: Graph) -> Graph:
    """The graph after all passes."""
    return without_dead(without_repeated(without_identities(graph)))
