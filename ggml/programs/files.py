"""Programs from files, without torch. Files may come from anybody: everything is checked before anything runs."""

from __future__ import annotations

import mmap
from typing import Any

from ggml.core.devices import Device
from ggml.core.errors import ArgumentError, StateDictError
from ggml.io.mapped import open_mapped
from ggml.io.reading import path_of, tensors_of
from ggml.programs.decoding import decode
from ggml.programs.graph import KEY
from ggml.programs.program import Program
from ggml.programs.recordings.storing import without_recordings
from ggml.programs.references import KEY as WEIGHTS
from ggml.programs.references import referenced


def load_program(path: Any, device: Device | str | None = None, weights: str | None = None) -> Program:
    """See ``ggml.load_program``."""
    file = open_mapped(path_of("load_program", path), mmap.ACCESS_COPY)
    raw = file.array_of_bytes(KEY)
    if raw is None:
        file.fail(KEY, "is no array of bytes: ggml.load reads files with tensors only")
    graph = decode(raw, file.header.path)
    try:
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
        program = Program(graph, tensors, recordings, reference)
    except StateDictError as error:
        file.fail("tensors", str(error))
    return program if device is None else program.to(device)
