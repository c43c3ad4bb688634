"""Gradients of one call, in PyTorch and in ggml, with the same arguments and the same gradients to begin with."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import ggml
from ggml.core.op import Op
from tests.ggml.oracle import torch_result

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")


def widened(value: Any) -> Any:
    """The arguments with float32 in place of 16 bits."""
    if isinstance(value, torch.Tensor):
        return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
    if value in (torch.float16, torch.bfloat16) and isinstance(value, torch.dtype):
        return torch.float32
    if isinstance(value, (list, tuple)):
        return type(value)(widened(item) for item in value)
    if isinstance(value, dict):
        return {key: widened(item) for key, item in value.items()}
    return value


def leaves(value: Any, found: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """The arguments for PyTorch and for ggml; float32 tensors are leaves that require gradients."""
    if isinstance(value, torch.Tensor):
        theirs = value.detach().clone(memory_format=torch.contiguous_format)
        if theirs.stride() != torch.empty(theirs.shape).stride():
            theirs = theirs.contiguous()
        ours = ggml.tensor(theirs.numpy())
        if theirs.dtype is torch.float32:
            theirs.requires_grad_()
            ours.requires_grad_()
            found.append((theirs, ours))
        return theirs, ours
    if isinstance(value, torch.dtype):
        return value, getattr(ggml, str(value).removeprefix("torch."))
    if isinstance(value, (list, tuple)):
        pairs = [leaves(item, found) for item in value]
        return type(value)(one for one, _ in pairs), type(value)(one for _, one in pairs)
    if isinstance(value, dict):
        named = {key: leaves(item, found) for key, item in value.items()}
        return {key: one for key, (one, _) in named.items()}, {key: one for key, (_, one) in named.items()}
    return value, value


def floats(result: Any, kind: type) -> list[Any]:
    """The floating results of a call, in order."""
    several = result if isinstance(result, (tuple, list)) else (result,)
    return [one for one in several if isinstance(one, kind) and (one.is_floating_point() or one.is_complex())]


class Pair:
    """One call on both sides. ``skip`` says why there is nothing to compare."""

    def __init__(self, row: Op, args: list[Any], kwargs: dict[str, Any]) -> None:
        self.leaves: list[tuple[Any, Any]] = []
        self.skip = ""
        theirs, ours = leaves(widened(args), self.leaves)
        named, named_ours = leaves(widened(kwargs), self.leaves)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = torch_result(row, theirs, named)
        if isinstance(result, Exception):
            self.skip = "PyTorch refuses the call"
            return
        self.theirs = floats(result, torch.Tensor)
        self.is_used = [one.requires_grad for one in self.theirs]
        if not any(self.is_used):
            self.skip = "nothing requires a gradient"
            return
        if row.torch.endswith("_") or row.torch == "Tensor.__setitem__":
            ours = [ours[0].clone() if isinstance(ours[0], ggml.Tensor) else ours[0], *ours[1:]]
        if row.sample == "complex_only":
            ours = [ggml.view_as_complex(ours[0]), *ours[1:]]
        self.call = lambda: floats(row.function(*ours, **named_ours), ggml.Tensor)

    def seeds(self, rng: Any) -> tuple[list[Any], list[Any]]:
        """A gradient for each result."""
        drawn = [np.array(rng.uniform(-1, 1, tuple(one.shape)), np.float32) for one in self.theirs]
        return [torch.from_numpy(one) for one in drawn], [ggml.tensor(one) for one in drawn]

    def torch_gradients(self, seeds: list[Any]) -> Any:
        """PyTorch's, for each leaf; an exception where it has none."""
        used = [(one, begin) for one, begin, is_used in zip(self.theirs, seeds, self.is_used, strict=True) if is_used]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return torch.autograd.grad(
                    [one for one, _ in used],
                    [one for one, _ in self.leaves],
                    [begin for _, begin in used],
                    allow_unused=True,
                )
            except RuntimeError as error:
                return error


def own_gradients(results: list[Any], leaves: list[Any], seeds: list[Any]) -> list[Any]:
    """Ours; what no leaf has a part in gives None."""
    kept = [(one, begin) for one, begin in zip(results, seeds, strict=True) if one.requires_grad]
    if not kept:
        return [None] * len(leaves)
    return list(ggml.autograd.grad([one for one, _ in kept], leaves, [begin for _, begin in kept], allow_unused=True))


def assert_same_gradient(found: ggml.Tensor | None, wanted: Any, tolerance: float, of: str) -> None:
    """Equal where PyTorch's is a number; what is 0 everywhere may be None."""
    if wanted is None or found is None:
        rest = wanted if found is None else found
        assert rest is None or not np.nan_to_num(rest.detach().numpy()).any(), f"{of}: {found} instead of {wanted}"
        return
    want, have = wanted.detach().numpy(), found.numpy()
    assert have.shape == want.shape, f"{of}: {have.shape} instead of {want.shape}"
    finite = np.isfinite(want)
    scale = min(float(np.abs(want[finite]).max(initial=0)), 1e6)
    have, want = np.where(finite, have, 0), np.where(finite, want, 0)
    np.testing.assert_allclose(have, want, rtol=tolerance, atol=tolerance * max(scale, 1e-3), err_msg=of)
