"""Which operations of an export stay as they are, because there is a rule for them, and which are decomposed."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any

from ggml.programs.rules import RULES


def decomposed(exported: Any, unfit: Collection[str] = ()) -> Any:
    """The export in operations that have rules, as far as PyTorch can say them so.

    PyTorch would decompose a linear layer, attention or a norm into many operations that compute the same, slower.
    ``unfit`` names those whose rule does not take the arguments of this model: they are decomposed, too.
    """
    import torch

    table = torch.export.default_decompositions()
    for op in list(table):
        if str(op) in RULES and str(op) not in unfit:
            table.pop(op)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch, about what torch itself does here
        warnings.simplefilter("ignore", DeprecationWarning)
        return exported.run_decompositions(table)
