"""What makes a graph smaller or faster without changing what it computes: one file a pass."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType

from ggml.core.errors import ArgumentError
from ggml.programs.graph import Graph
from ggml.programs.passes.batch_norms import with_folded_batch_norms
from ggml.programs.passes.dead import without_dead
from ggml.programs.passes.gated import with_gated_units
from ggml.programs.passes.grouped import with_grouped_heads
from ggml.programs.passes.identity import without_identities
from ggml.programs.passes.products import with_linear_layers
from ggml.programs.passes.repeated import without_repeated
from ggml.programs.passes.rms_norms import with_rms_norms
from ggml.programs.passes.rotary import with_rotary

Pass = Callable[[Graph], Graph]

#: Those that put one operation in the place of several, by name, in the order in which they run.
FUSIONS: Mapping[str, Pass] = MappingProxyType(
    {
        "batch_norm": with_folded_batch_norms,
        "linear": with_linear_layers,
        "rms_norm": with_rms_norms,
        "rope": with_rotary,
        "gqa": with_grouped_heads,
        "swiglu": with_gated_units,
    }
)

#: The pass that computes what depends on weights only; it needs the weights, see ``ggml.programs.constants``.
CONSTANTS = "constants"

#: All that may be chosen. Copies, repeated and dead nodes go in any case.
NAMES = (*FUSIONS, CONSTANTS)


def chosen(names: Iterable[str] | None) -> frozenset[str]:
    """The passes of these names; all for None. ArgumentError for a name that no pass has."""
    if names is None:
        return frozenset(NAMES)
    if isinstance(names, str):
        raise ArgumentError("lower", "passes", f"must be a collection of names, not {names!r}")
    wanted = frozenset(names)
    for name in wanted - frozenset(NAMES):
        near = difflib.get_close_matches(str(name), NAMES, 1) or NAMES
        raise ArgumentError("lower", "passes", f"has no {name!r}; did you mean {', '.join(near)}?")
    return wanted


def simplified(graph: Graph, names: Collection[str] = NAMES) -> Graph:
    """The graph after the passes of these names, and those that always run."""
    graph = _small(graph)
    for name, run in FUSIONS.items():
        if name in names:
            graph = without_dead(run(graph))
    return _small(graph)


def _small(graph: Graph) -> Graph:
    return without_dead(without_repeated(without_identities(graph)))
