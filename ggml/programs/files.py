"""Programs from files, without torch. Files may come from anybody: everything is checked before anything runs."""

from __future__ import annotations

import mmap
from typing import Any

from ggml.core.errors import StateDictError
from ggml.gguf.value import MetadataArray, ValueType
from ggml.io.mapped import open_mapped
from ggml.io.reading import path_of, tensors_of
from ggml.programs.decoding import decode
from ggml.programs.graph import KEY
from ggml.programs.program import Program


def load_program(path: Any) -> Program:
    """See ``ggml.load_program``."""
    file = open_mapped(path_of("load_program", path), mmap.ACCESS_COPY)
    found = file.header.metadata.get(KEY)
    value = None if found is None else found.value
    if not isinstance(value, MetadataArray) or value.element_type is not ValueType.UINT8:
        file.fail(KEY, "is no array of bytes: ggml.load reads files with tensors only")
    graph = decode(bytes(value.raw), file.header.path)
    try:
        return Program(graph, tensors_of(file))
    except StateDictError as error:
        file.fail("tensors", str(error))
