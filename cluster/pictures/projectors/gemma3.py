"""Gemma 3: a square of patches, of which the mean of each few becomes a row. The rows of a picture see each other."""

from __future__ import annotations

from cluster.pictures.projectors.fields import embedding_length, matrix, merge, patches_per_side, refuse
from cluster.pictures.projectors.kind import ProjectorKind
from ggml.gguf.header import Header

_PROJECTION = "mm.input_projection.weight"


def _row_width(header: Header) -> int:
    merge(header, default=4)
    num_inputs, num_outputs = matrix(header, _PROJECTION)  # it is turned before it is multiplied
    if num_inputs != embedding_length(header):
        refuse(header, _PROJECTION, f"{num_inputs} rows; it is multiplied by {embedding_length(header)} values")
    return num_outputs


def _whole_rows(header: Header) -> int:
    return (patches_per_side(header) // merge(header, default=4)) ** 2


GEMMA3 = ProjectorKind("gemma3", _row_width, _whole_rows)
