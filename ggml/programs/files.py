"""Programs from files, without torch. Files may come from anybody: everything is checked before anything runs."""

from __future__ import annotations

import mmap
from typing import Any

from ggml.core.devices import Device
from ggml.core.errors import ArgumentError, FileFormatError, StateDictError
from ggml.io.listed import Listed
from ggml.io.mapped import open_mapped
from ggml.io.reading import path_of, tensors_of
from ggml.programs.decoding import decode
from ggml.programs.graph import KEY, Graph
from ggml.programs.program import Program
from ggml.programs.recordings.storing import without_recordings
from ggml.programs.references import KEY as WEIGHTS
from ggml.programs.references import referenced
from ggml.tokenizers.keys import tokenizer_keys


def load_program(path: Any, device: Device | str | None = None, weights: str | None = None) -> Program:
    """See ``ggml.load_program``."""
    file = open_mapped(path_of("load_program", path), mmap.ACCESS_COPY)
    graph = graph_of(file)
    tensors, recordings = without_recordings(file, tensors_of(file), graph)
    reference = None
    raw = file.array_of_bytes(WEIGHTS)
    if raw is not None:
        reference, there = referenced(file, raw, weights)
        tensors = {**there, **tensors}
    elif weights is not None:
        raise ArgumentError("load_program", "weights", "names a file, but the program has its weights itself")
    elif WEIGHTS in file.header.metadata:
        file.fail(WEIGHTS, "is no array of bytes")
    try:
        program = Program(graph, tensors, recordings, reference, tokenizer_keys(file.header.metadata))
    except StateDictError as error:
        raise FileFormatError(file.header.path, "tensors", str(error)) from None
    return program if device is None else program.to(device)


def read_graph(path: str) -> Graph:
    """The graph of a file alone, whether or not its tensors are in it."""
    return graph_of(open_mapped(path, mmap.ACCESS_READ))


def graph_of(file: Listed) -> Graph:
    """The graph in the header of a file. FileFormatError where it has none that is sound."""
    raw = file.array_of_bytes(KEY)
    if raw is None:
        file.fail(KEY, "is no array of bytes: ggml.load reads files with tensors only")
    return decode(raw, file.header.path)
