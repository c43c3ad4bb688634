"""Which operations of an export stay as they are, because there is a rule for them, and which are decomposed."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from ggml.export.branches import choose
from ggml.export.loops import unroll
from ggml.programs.rules import RULES


def decomposed(exported: Any, unfit: Collection[str] = ()) -> Any:
    """The export in operations that have rules, as far as PyTorch can say them so.

    PyTorch would decompose a linear layer, attention or a norm into many operations that compute the same, slower.
    ``unfit`` names those whose rule does not take the arguments of this model: they are decomposed, too.
    """
    table = _table(unfit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch, about what torch itself does here
        warnings.simplefilter("ignore", DeprecationWarning)
        found = exported.run_decompositions(table)
        unroll(found.graph_module)
        return choose(found)


@contextmanager
def kept_composites() -> Iterator[Any]:
    """While it lasts, PyTorch's tracing keeps what has rules, as in ``decomposed``; gives what takes apart the rest.

    PyTorch has no public way: what it keeps by itself when it exports, it takes apart when it compiles.
    """
    from torch.export import exported_program

    composites, others = exported_program._split_decomp_table_to_cia_and_python_decomp(dict(_table()))
    with exported_program._override_composite_implicit_decomp(composites):
        yield others


def _table(unfit: Collection[str] = ()) -> Any:
    import torch

    table = torch.export.default_decompositions()
    for op in list(table):
        if str(op) in RULES and str(op) not in unfit:
            table.pop(op)
    return table
