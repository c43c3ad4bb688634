"""The one table between ONNX and the rows of ggml: what writes a row as nodes, and what runs a node as rows.

A function of ``ops/`` enters itself: ``@to_onnx("row")`` takes a writer and a step of the recording,
``@from_onnx("Op")`` the call of a node. The page of the documentation is generated from what is entered here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ggml.onnx.call import Call
from ggml.onnx.step import Step
from ggml.onnx.writer import Writer

#: Writes one recorded row; returns the name of its result.
ToOnnx = Callable[[Writer, Step], str]

#: Computes one node; returns its result, or a tuple of several.
FromOnnx = Callable[[Call], Any]

TO_ONNX: dict[str, ToOnnx] = {}
FROM_ONNX: dict[str, FromOnnx] = {}

#: Rows whose functions ask the step for sizes, so that parameters may differ between sizes of the inputs.
KNOWS_SIZES: set[str] = set()

To = TypeVar("To", bound=ToOnnx)
From = TypeVar("From", bound=FromOnnx)


def to_onnx(*rows: str, knows_sizes: bool = False) -> Callable[[To], To]:
    """Enter what writes these rows of the table of operations."""

    def enter(function: To) -> To:
        for row in rows:
            assert row not in TO_ONNX, row
            TO_ONNX[row] = function
            if knows_sizes:
                KNOWS_SIZES.add(row)
        return function

    return enter


def from_onnx(*ops: str) -> Callable[[From], From]:
    """Enter what runs these operations of ONNX's own domain."""

    def enter(function: From) -> From:
        for op in ops:
            assert op not in FROM_ONNX, op
            FROM_ONNX[op] = function
        return function

    return enter
