"""From a header to a program, once for each opening of it. Nothing of it is served before all of this holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cluster.api.errors import ModelFileError, UnsupportedModelError
from cluster.cutting.header import Header
from cluster.cutting.programs.model import ProgramModel
from cluster.cutting.programs.text import text_of
from ggml.core.errors import FileFormatError
from ggml.io.listed import listed
from ggml.io.naming import Named, of_file
from ggml.programs.coverage import coverage
from ggml.programs.files import graph_of
from ggml.programs.graph import Graph, Role
from ggml.programs.recordings.recorded import MEMORY
from ggml.programs.references import KEY as WEIGHTS
from ggml.programs.slices.part import output_names
from ggml.programs.slices.places import cut_places

MAX_NAMES = 512
MAX_NAME_CHARS = 256


def check_program(header: Header) -> ProgramModel:
    """The program of a header. ModelFileError where the file contradicts itself, UnsupportedModelError where an
    operation cannot run."""
    with _as_model_file_error():
        file = listed(header)
        graph = graph_of(file)
        # What was recorded is for those who run the file without Python; a slice has other graphs.
        named = {one.name: one for one in of_file(file) if one.name != MEMORY}
    if WEIGHTS in header.metadata:
        raise header.error(WEIGHTS, "its weights are in another file; save it with its weights inside (embed=True)")
    _check_names(header, graph)
    _check_tensors(header, graph, named)
    missing = coverage(graph).missing
    if missing:
        names = ", ".join(row.op for row in missing)
        raise UnsupportedModelError(f"{header.path}: {names}: cannot run here: {missing[0].why}")
    places = cut_places(graph)
    if not any(one.role is Role.STATE for one in graph.inputs):
        return ProgramModel(header, graph, places, named)
    try:  # calls change buffers, so that one depends on those before it: nothing but a text can be asked of it
        text, places = text_of(graph, places, header.metadata)
    except ValueError as error:
        return ProgramModel(header, graph, places, named, why_no_text=str(error))
    return ProgramModel(header, graph, places, named, text)


def _check_names(header: Header, graph: Graph) -> None:
    """Arrays go by name: of inputs and outputs each has to be another one, and none longer than a message allows."""
    inputs = [one.name for one in graph.users if one.spec is not None]
    for what, names in (("input", inputs), ("output", list(output_names(graph.out_tree)))):
        if len(names) > MAX_NAMES:
            raise header.error(f"{what}s", f"are {len(names)}; at most {MAX_NAMES} can be sent")
        for name in names:
            if names.count(name) > 1 or len(name) > MAX_NAME_CHARS:
                raise header.error(f"{what} {ascii(name)[:80]}", "is the name of two of them, or too long to be sent")


def _check_tensors(header: Header, graph: Graph, named: dict[str, Named]) -> None:
    wanted = {one.name: one.spec for one in graph.held if one.spec is not None}
    for name in sorted(wanted.keys() ^ named.keys()):
        where = "the file lacks it" if name in wanted else "no operation reads it"
        raise header.error(f"tensor {ascii(name)[:80]}", where)
    for name, spec in wanted.items():
        there = named[name]
        if there.shape != spec.shape or not (there.dtype is spec.dtype or there.dtype.is_quantized):
            raise header.error(
                f"tensor {ascii(name)[:80]}",
                f"is {there.dtype} {there.shape}, the program wants {spec.dtype} {spec.shape}",
            )


@contextmanager
def _as_model_file_error() -> Iterator[None]:
    try:
        yield
    except FileFormatError as error:
        raise ModelFileError(str(error)) from error
