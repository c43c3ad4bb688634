"""One source text, executed with PyTorch's names and with ggml's."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import ggml

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")


def names_of(library: Any) -> dict[str, Any]:
    """What a text finds: ``torch``, ``nn`` and ``F`` of one of the libraries."""
    return {"torch": library, "nn": library.nn, "F": library.nn.functional}


def twins(text: str) -> tuple[Any, Any]:
    """The module that an expression makes, in PyTorch and in ggml, with the same weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = eval(text, names_of(torch))
    ours = eval(text, names_of(ggml))
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def randomise(module: Any, seed: int = 0) -> None:
    """Weights and statistics that are not the first ones of a layer; variances stay positive."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) - (0.0 if "var" in name else 0.5))
