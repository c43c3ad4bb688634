"""The record of one operation: what a row of the table says of it, and what every floor above reads."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ggml.core.dtypes import DType

#: Where the work is done. ``ggml``: ggml's own operations, on every backend that has them. ``kernel``: our CPU
#: kernel, from any device. ``mixed``: ggml's where they are exact, else the kernel. ``view``: nowhere, until
#: something needs the elements in order. ``host``: Python, outside of graphs. ``composed``: other rows.
Runs = Literal["ggml", "kernel", "mixed", "view", "host", "composed"]


@dataclass(frozen=True, slots=True)
class Op:
    """One row. ``index`` is its place in the table, which cache keys use."""

    name: str
    index: int
    function: Callable[..., Any]
    lower: Callable[..., Any] | None  # a ``ggml.graph.builder.Lower``; None if the row is composed of others
    runs: Runs
    dtypes: tuple[DType, ...]  # the first tensor has one of these
    sample: str  # the kind of arguments the tests draw
    torch: str  # where PyTorch keeps it, below ``torch.``
    methods: tuple[str, ...]  # names that ``Tensor`` has it under
    differs: str  # how it differs from PyTorch, in a sentence; empty if it does not
    widens: bool  # half precision computes in float32 and rounds once, at the end
    on_empty: float | None  # every element of a result that is reduced from nothing

    @property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.function)

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.function) or ""
