"""Prompts as bytes in the memory of a lane: a row for each segment, then their texts one after the other."""

from __future__ import annotations

import struct

from cluster.api.prompt import Segment, Segments

_ROW = struct.Struct("<I?")  # bytes of text, parse_special


def pack(segments: Segments) -> bytes:
    """The bytes of a prompt, all texts of which are valid Unicode."""
    texts = [segment.text.encode() for segment in segments]
    rows = (_ROW.pack(len(text), segment.parse_special) for text, segment in zip(texts, segments, strict=True))
    return b"".join((*rows, *texts))


def unpack(data: bytes, num_segments: int) -> Segments:
    """The inverse of `pack`."""
    begin = num_segments * _ROW.size
    segments = []
    for num_bytes, parse_special in _ROW.iter_unpack(data[:begin]):
        segments.append(Segment(data[begin : begin + num_bytes].decode(), parse_special))
        begin += num_bytes
    return tuple(segments)
