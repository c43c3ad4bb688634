"""MiniCPM-V 2.5 to 4.5: the whole picture small, and up to 10 tiles of it, each of which becomes a fixed number of rows
by a transformer that asks for them."""

from __future__ import annotations

from cluster.pictures.projectors.fields import check_tiles, embedding_length, matrix, projected, refuse, shape
from cluster.pictures.projectors.kind import ProjectorKind
from ggml.gguf.header import Header
from ggml.gguf.value import ValueType

_QUERIES = "clip.minicpmv_query_num"
_VERSION = "clip.minicpmv_version"
_VERSIONS = (0, 2, 3, 4, 5, 6, 100045)  # 0: the file says none, and means 2
_BUCKETS = 70  # of places, on each side: minicpmv.cpp and clip.cpp
_HEAD_WIDTH = 128  # minicpmv.cpp
_PROJECTION = "resampler.proj.weight"


def _row_width(header: Header) -> int:
    version = header.get(_VERSION, ValueType.INT32) or 0
    if version not in _VERSIONS:
        refuse(header, _VERSION, f"{version} is not one of {', '.join(map(str, _VERSIONS))}")
    num_queries = header.uint32(_QUERIES, 0) or (96 if version in (0, 2) else 64)
    if num_queries != (shape(header, "resampler.query") or (0,))[0]:
        refuse(header, _QUERIES, f"{num_queries} is not the number of rows of resampler.query")
    check_tiles(header, "image_size", 10 + 1)
    positions, _ = matrix(header, "v.position_embd.weight")
    if positions < _BUCKETS**2:
        refuse(header, "v.position_embd.weight", f"{positions} rows; it is asked for {_BUCKETS**2}")
    width = projected(header, "resampler.kv.weight", embedding_length(header))
    if projected(header, _PROJECTION, width) != width or width % _HEAD_WIDTH:
        refuse(header, _PROJECTION, f"{width} columns; not square, or no multiple of {_HEAD_WIDTH}")
    if shape(header, "v.class_embd") is not None:
        refuse(header, "v.class_embd", "an encoder of this family has none")
    return width


MINICPMV = ProjectorKind("resampler", _row_width)
