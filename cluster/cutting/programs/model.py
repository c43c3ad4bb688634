"""A program that passed all checks: what cutting, planning and loading take in place of its header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.cutting.header import Header
from cluster.cutting.programs.text import ProgramText
from ggml.gguf.header import TensorInfo
from ggml.io.naming import Named
from ggml.programs.graph import Graph
from ggml.programs.slices.part import part
from ggml.programs.slices.places import Place


@dataclass(frozen=True, slots=True)
class ProgramModel:
    """A graph of operations, with its tensors as the file has them.

    What layers are to other models, the units between `places` are here: stages take whole ones.
    """

    header: Header
    graph: Graph
    places: tuple[Place, ...]
    named: Mapping[str, Named]  # each tensor of the file, by the name that the graph has for it
    text: ProgramText | None = None  # what makes text of it; None: it takes and gives arrays
    why_no_text: str = ""  # what is in the way of that, where calls change buffers

    @property
    def architecture(self) -> str:
        return self.header.architecture

    @property
    def num_layers(self) -> int:
        """Units between the places."""
        return len(self.places) + 1

    def part(self, first: int, end: int) -> Graph:
        """The graph of the units [first, end)."""
        return part(self.graph, self.places, first, end)

    def stored(self, graph: Graph) -> list[tuple[Named, TensorInfo | None]]:
        """The tensors that a part of the graph reads, in the order of the file; None of one without elements."""
        wanted = {one.name for one in graph.held}
        infos = {info.name: info for info in self.header.tensors}
        return [(one, infos.get(one.stored_name or "")) for name, one in self.named.items() if name in wanted]
