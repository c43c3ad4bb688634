"""Random programs of a few rows, run in PyTorch and in ggml: lazily, as one graph, or compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import ggml
from ggml.core.op import Op
from ggml.ops.namespace import TABLE
from tests.ggml.fuzz_arguments import Fuzzer, copied, described, mirrored
from tests.ggml.oracle import torch_result

# Where PyTorch leaves the result open, or the rounding of 16 bits decides it.
OPEN = {
    "topk",
    "argsort",
    "sort",
    "dropout",
    "to",
    "int",
    "long",
    "type_as",
    "unique",
    "digamma",
    "lgamma",
    "erfinv",
    "gelu",
    "put",
    "norm",
    "mode",
    "stft",
    "istft",
    "multinomial",
    "gumbel_softmax",
    "vector_norm",
    "matrix_norm",
    "linalg_norm",
    "matrix_power",
    "solve_triangular",
    "logit",
    "nanmedian",
    "median",
    "cdist",
    "cosine_similarity",
    "var_mean",
    "std_mean",
    "tensordot",
    "bincount",
    "kthvalue",
    "dist",
    "ldexp",
    "trapezoid",
    "cumulative_trapezoid",
    "cross",
    "multilabel_margin_loss",
    "multi_margin_loss",
    "scaled_dot_product_attention",
    "pairwise_distance",
    "linalg_cross",
    "normalize",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_alpha_dropout",
    "rrelu",
    "index_put",
    "histogram",
    "histc",
    "signbit",  # of sums that cancel
    "poisson_nll_loss",  # of a target of 16 bits
    "binary_cross_entropy_with_logits",  # of targets beyond 0 and 1, whose terms cancel
    "ctc_loss",
    "corrcoef",
    "renorm",
    "angle",
    "polygamma",
    "polygamma_method",
    "mvlgamma",
    "torch_dropout",
    "torch_alpha_dropout",
    "torch_feature_alpha_dropout",
    "torch_batch_norm",
    "torch_instance_norm",
    "as_strided",  # of what does not lie in order
    "as_strided_scatter",
}

#: Modules of rows whose values are open: matrices, complex numbers, functions with poles.
OPEN_MODULES = {"solving", "spectra", "factors", "lu", "complexes", "special_functions"}

LOOKS = ("getitem", "permute", "transpose", "reshape", "expand", "flip", "narrow", "select", "unsqueeze", "diagonal")

# Relative to an element: what one rounding may change, several times over.
_STEP = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


@dataclass
class Step:
    """One row. Arguments that are tensors of the program are its places in it."""

    row: Op
    method: str | None
    args: list[Any]
    kwargs: dict[str, Any]

    def __repr__(self) -> str:
        return f"{self.method or self.row.name}({described(self.args)}, {described(self.kwargs)})"


@dataclass(frozen=True)
class Place:
    """A tensor that the program has: an input, or the result of a step."""

    number: int


def filled(value: Any, tensors: list[Any]) -> Any:
    """The arguments with the program's tensors in their places."""
    if isinstance(value, Place):
        return tensors[value.number]
    if isinstance(value, (list, tuple)):
        return type(value)(filled(item, tensors) for item in value)
    if isinstance(value, dict):
        return {key: filled(item, tensors) for key, item in value.items()}
    return value


def abstracted(value: Any, tensors: list[Any]) -> Any:
    """The arguments with places for the program's tensors; others become inputs."""
    if isinstance(value, torch.Tensor):
        for number, known in enumerate(tensors):
            if known is value:
                return Place(number)
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(abstracted(item, tensors) for item in value)
    if isinstance(value, dict):
        return {key: abstracted(item, tensors) for key, item in value.items()}
    return value


class Program:
    """Steps over inputs, each of which PyTorch has accepted."""

    def __init__(self, fuzzer: Fuzzer, rows: list[Op]) -> None:
        self.inputs = [fuzzer.tensor("float32" if fuzzer.rng.random() < 0.6 else fuzzer.rng.choice(["int64", "bool"]))]
        self.steps: list[Step] = []
        tensors = list(self.inputs)
        for _ in range(fuzzer.rng.randint(2, 4)):
            fuzzer.pool = tensors
            row = TABLE[fuzzer.rng.choice(LOOKS)] if fuzzer.rng.random() < 0.3 else fuzzer.rng.choice(rows)
            found = self._step(fuzzer, row, tensors)
            if found is not None:
                self.steps.append(found[0])
                tensors.append(found[1])
        fuzzer.pool = []

    def _step(self, fuzzer: Fuzzer, row: Op, tensors: list[Any]) -> tuple[Step, Any] | None:
        method = None
        if fuzzer.rng.random() < 0.2 and row.methods and hasattr(ggml.Tensor, f"{row.methods[0]}_"):
            method = f"{row.methods[0]}_"
        for _ in range(6):
            args, kwargs = fuzzer.call(row)
            if fuzzer.num_quantised or not args or not any(one is args[0] for one in tensors):
                continue
            result = _in_torch(row, method, args, kwargs)
            if isinstance(result, (list, tuple)) and result:
                result = result[0]
            is_known = isinstance(result, torch.Tensor) and result.dtype in _KNOWN
            # PyTorch has been seen to make a tensor with a negative extent.
            if is_known and min(result.shape, default=0) >= 0 and result.numel() < 1 << 16:
                return Step(row, method, abstracted(args, tensors), abstracted(kwargs, tensors)), result
        return None

    def torch_result(self, perturb: Callable[[Any, list[Any]], Any] | None = None) -> list[Any]:
        tensors = list(self.inputs)
        for step in self.steps:
            args, kwargs = filled(step.args, tensors), filled(step.kwargs, tensors)
            result = _in_torch(step.row, step.method, args, kwargs)
            if isinstance(result, Exception):
                raise result
            result = result[0] if isinstance(result, (list, tuple)) else result
            tensors.append(perturb(result, args) if perturb else result)
        return tensors[len(self.inputs) :]

    def ggml_result(self, inputs: list[Any]) -> list[Any]:
        tensors = list(inputs)
        for step in self.steps:
            args, kwargs = mirrored(filled(step.args, tensors)), mirrored(filled(step.kwargs, tensors))
            if step.method is not None or step.row.torch.endswith("_"):
                args = [args[0].clone(), *args[1:]]
            function = step.row.function if step.method is None else getattr(ggml.Tensor, step.method)
            result = function(*args, **kwargs)
            tensors.append(result[0] if isinstance(result, (list, tuple)) else result)
        return tensors[len(inputs) :]

    def run(self, is_compiled: bool) -> list[Any]:
        """All results, computed together."""
        inputs = mirrored(self.inputs)
        if is_compiled:
            results = list(ggml.compile(lambda *given: tuple(self.ggml_result(list(given))))(*inputs))
        else:
            results = self.ggml_result(inputs)
        ggml.eval(results)
        return results

    def __repr__(self) -> str:
        return f"{described(self.inputs)} -> {' -> '.join(map(repr, self.steps))}"


_KNOWN = (torch.float32, torch.float16, torch.bfloat16, torch.int32, torch.int64, torch.bool)


def _in_torch(row: Op, method: str | None, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if method is None:
        return torch_result(row, args, kwargs)
    try:
        return getattr(torch.Tensor, method)(copied(args[0]), *args[1:], **kwargs)
    except Exception as error:  # of every kind: it is the outcome
        return error


def perturbation(seed: int) -> Callable[[Any, list[Any]], Any]:
    """Changes what a step has computed by a rounding or two: results that this moves are not compared strictly."""
    rng = np.random.default_rng(seed)

    def perturb(result: Any, args: list[Any]) -> Any:
        if not result.is_floating_point() or not result.numel():
            return result
        moved = [one for one in args if isinstance(one, torch.Tensor) and one.dtype is result.dtype]
        if moved and torch.isin(result.flatten(), torch.cat([one.flatten() for one in moved])).all():
            return result
        noise = torch.from_numpy(np.array(rng.choice([-1.0, 1.0], tuple(result.shape)))).to(torch.float32)
        wide = result.float()
        step = _STEP[result.dtype] / 8
        scale = wide.abs() + 0.05 * wide[wide.isfinite()].abs().max() if wide.isfinite().any() else wide.abs()
        return torch.where(wide.isfinite(), wide + scale * noise * step, wide).to(result.dtype)

    return perturb


def difference(found: Any, expected: Any, perturbed: list[Any]) -> str | None:
    """What is wrong with a result, or None. Elements that a rounding would change are let off."""
    if tuple(found.shape) != tuple(expected.shape):
        return f"shape {tuple(found.shape)} instead of {tuple(expected.shape)}"
    name = str(expected.dtype).removeprefix("torch.")
    if found.dtype.name != name:
        return f"dtype {found.dtype.name} instead of {name}"
    if any(tuple(one.shape) != tuple(expected.shape) for one in perturbed):
        return None
    have = (found.to(ggml.float32) if found.dtype.is_floating_point else found).numpy().astype(np.float64)
    want = expected.double().numpy()
    others = [one.double().numpy() for one in perturbed]
    with np.errstate(all="ignore"):
        equal = (have == want) | (np.isnan(have) & np.isnan(want))
        stable = np.logical_and.reduce([np.isfinite(one) == np.isfinite(want) for one in others])
        finite = np.abs(want[np.isfinite(want)])
        slack = _STEP.get(expected.dtype, 0.0) * (np.abs(want) + (0.05 * finite.max() if finite.size else 0))
        slack = slack + 8 * np.maximum.reduce([np.nan_to_num(np.abs(one - want), posinf=0) for one in others])
        wrong = ~equal & stable & ~(np.abs(have - want) <= slack)
    if not wrong.any():
        return None
    at = tuple(int(one[0]) for one in np.nonzero(wrong)) if wrong.ndim else ()
    return f"{int(wrong.sum())} elements differ; at {at}: {have[at]} instead of {want[at]}"
