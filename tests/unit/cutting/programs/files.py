"""Files with programs: sound ones, and ones in which a key or a tensor is another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cluster.cutting.header import Header, read_header
from cluster.cutting.programs.check import check_program
from cluster.cutting.programs.model import ProgramModel
from ggml.programs.graph import Graph
from ggml.programs.program import Program
from ggml.tensors.tensor import Tensor
from tests.ggml.programs.slices.graphs import chain, tensors_for


def saved(folder: Path, graph: Graph | None = None, tensors: Mapping[str, Tensor] | None = None) -> Path:
    """A file with the graph, by default of four layers."""
    graph = chain(4) if graph is None else graph
    path = folder / "model.ggp"
    Program(graph, tensors_for(graph) if tensors is None else tensors).save(path)
    return path


def header_of(folder: Path, graph: Graph | None = None) -> Header:
    return read_header(saved(folder, graph))


def model_of(folder: Path, graph: Graph | None = None) -> ProgramModel:
    return check_program(header_of(folder, graph))
