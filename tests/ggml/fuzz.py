"""The child of test_fuzz: ``python -m tests.ggml.fuzz SEED NUM_CALLS [ROW ...]``.

Calls of rows (functions, methods, in-place variants, with quantised operands too), of factories, and random
programs of several rows. Each call must equal PyTorch's or raise a typed error; nothing may end the process.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter
from typing import Any

import numpy as np
import torch

import ggml
from ggml.core.op import Op
from ggml.ops.namespace import TABLE
from tests.ggml.arrays import TORCH_DTYPES
from tests.ggml.compare import assert_same
from tests.ggml.fuzz_arguments import Fuzzer, copied, described, mirrored
from tests.ggml.fuzz_programs import OPEN, OPEN_MODULES, Program, difference, perturbation
from tests.ggml.oracle import torch_result


def module_of(row: Op) -> str:
    return row.function.__module__.rpartition(".")[2]


# By name: what a seed draws must not depend on the file that a row is in.
ROWS = sorted((row for row in TABLE.values() if row.sample != "internal"), key=lambda row: row.name)

# Values that PyTorch leaves open, or computes with another precision in some corner.
VALUE_FREE = {
    "topk", "argsort", "sort", "digamma", "lgamma", "tan", "erfinv", "to", "int", "long", "type_as", "pow", "prod",
    "cumprod", "std", "var", "norm", "normalize", "isclose", "remainder", "fmod", "floor_divide", "div", "cumsum",
    "bitwise_left_shift", "bitwise_right_shift", "layer_norm", "rms_norm", "group_norm", "logsumexp", "log_softmax",
    "dropout", "gelu", "put", "index_put",
    "nanmedian", "median", "cdist", "cosine_similarity", "logit", "var_mean", "std_mean", "tensordot",
    "mode", "kthvalue",  # places of equal elements
    "dist", "ldexp", "trapezoid", "cumulative_trapezoid",
    "unique_consecutive",  # PyTorch takes a positional return_inverse for return_counts
    "histogram",  # of edges that are not in order
    "histc",  # of 16 bits
    "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "rrelu",
    "binary_cross_entropy_with_logits", "multinomial", "gumbel_softmax", "isin", "margin_ranking_loss",
    "multilabel_margin_loss", "multi_margin_loss", "kl_div", "pdist", "vecdot",
    "triplet_margin_loss", "pairwise_distance",  # of a tiny power
    *(row.name for row in ROWS if row.torch.startswith("fft.") or row.name in ("stft", "istft")),
    "scaled_dot_product_attention", "einsum", "matrix_power", "vector_norm", "matrix_norm", "linalg_norm",
    "solve_triangular", "multi_dot", "chain_matmul", "batch_norm",
    "torch_batch_norm", "torch_instance_norm",
    *(row.name for row in ROWS if module_of(row) in OPEN_MODULES),
    "zeta", "igamma", "igammac", "cov", "corrcoef", "ctc_loss", "torch_dropout", "torch_alpha_dropout",
    "torch_feature_alpha_dropout", "linalg_vander",
    "as_strided", "as_strided_scatter", "renorm",
    *(row.name for row in ROWS if row.sample == "signal_window"), "instance_norm", "local_response_norm",
}  # fmt: skip

# Rows with another dtype or shape in some corner: weights that are no float32, products of two dtypes, PyTorch's own
# results without elements.
FREE = {
    "trapezoid",
    "cumulative_trapezoid",
    "triplet_margin_loss",
    "mse_loss",
    "gaussian_nll_loss",
    "topk",
    "to",
    "arange",
    "bincount",
    "matmul",
    "linear",
    "unique_consecutive",
    "pixel_unshuffle",
    "pixel_shuffle",
    "dropout",
    "matrix_rank",  # of no matrices, with tolerances that broadcast
}

# PyTorch reads a tensor without axes as dim where keepdim follows by place.
_QUIRKS = re.compile(r"\b(max|min)\W.*\(\)>', (True|False)\]")

_FACTORIES = {
    "zeros": ("size", "dtype"),
    "ones": ("size", "dtype"),
    "full": ("size", "number", "dtype"),
    "zeros_like": ("tensor", "dtype"),
    "ones_like": ("tensor", "dtype"),
    "full_like": ("tensor", "number", "dtype"),
    "arange": ("number", "number", "number", "dtype"),
    "linspace": ("number", "number", "count", "dtype"),
    "eye": ("count", "count", "dtype"),
    "tensor": ("list", "dtype"),
    "as_tensor": ("list", "dtype"),
    "scalar_tensor": ("number", "dtype"),
}


_COARSE = {"bfloat16": 3e-2, "float16": 4e-3}


class Findings(Counter[str]):
    """Counts by kind; what is wrong is printed where it is found."""

    def wrong(self, kind: str, label: str, why: object) -> None:
        self[kind] += 1
        print(f"{kind.upper()} {label}\n    {str(why)[:600]}", flush=True)


def announced(label: str) -> str:
    """The last line before an abort says what was called."""
    print(label[:600], file=sys.stderr, flush=True)
    return label


def is_tensor(value: Any) -> bool:
    return isinstance(value, ggml.Tensor)


def outcome(function: Any) -> tuple[str, Any]:
    """``error`` or ``results``, or ``escaped`` with anything but a GgmlError."""
    try:
        result = function()
        ggml.eval([one for one in (result if isinstance(result, (list, tuple)) else [result]) if is_tensor(one)])
    except ggml.GgmlError as error:
        return "errors", error
    except Exception as error:  # of every kind: it is a finding
        return "escaped", error
    return "results", result


def judge(counts: Findings, label: str, kind: str, value: Any, expected: Any, is_open: bool = False) -> None:
    """Count an outcome, and compare it with PyTorch's, which may round to the coarsest operand's dtype on the way."""
    counts[kind] += 1
    if kind == "escaped":
        print(f"ESCAPED {label}\n    {type(value).__name__}: {str(value)[:300]}", flush=True)
    elif kind == "errors" and not isinstance(expected, Exception):
        counts["stricter"] += 1
        print(f"STRICTER {label}\n    {str(value)[:300]}", flush=True)
    elif kind == "results" and isinstance(expected, Exception):
        counts["wider"] += 1
    elif kind == "results" and (_QUIRKS.search(label) or label.split()[0].removeprefix("Tensor.").rstrip("_") in FREE):
        counts["free"] += 1
    elif kind == "results":
        try:
            if is_open:
                assert_alike(value, expected)
            else:
                assert_same(value, expected, next((far for name, far in _COARSE.items() if f"<{name} " in label), 1e-4))
        except AssertionError as error:
            counts.wrong("mismatches", label, error)


def assert_alike(found: Any, expected: Any) -> None:
    """Same structure, shapes and dtypes."""
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other)
    elif isinstance(expected, torch.Tensor):
        assert tuple(found.shape) == tuple(expected.shape), (found.shape, expected.shape)
        assert found.dtype.name == str(expected.dtype).removeprefix("torch."), (found.dtype, expected.dtype)


def call_row(fuzzer: Fuzzer, counts: Findings, row: Op) -> None:
    """A row as a function."""
    attempts = 6 if fuzzer.rng.random() < 0.6 else 1
    args, kwargs, expected = fuzzer.accepted(row, lambda a, k: torch_result(row, a, k), attempts)
    label = announced(f"{row.name} {described(args)} {described(kwargs)}")
    given = mirrored(args), mirrored(kwargs)
    if row.torch.endswith("_") and args and isinstance(args[0], torch.Tensor):
        given = [given[0][0].clone(), *given[0][1:]], given[1]
    judge(counts, label, *outcome(lambda: row.function(*given[0], **given[1])), expected, row.name in VALUE_FREE)


def call_method(fuzzer: Fuzzer, counts: Findings, row: Op) -> None:
    """A method, or the in-place variant: only this handle gets another value."""
    names = [name for name in (*row.methods, *[f"{name}_" for name in row.methods]) if hasattr(ggml.Tensor, name)]
    names = [name for name in names if hasattr(torch.Tensor, name)]
    if not names:
        return
    name = fuzzer.rng.choice(names)

    def oracle(args: list[Any], kwargs: dict[str, Any]) -> Any:
        try:
            own = [copied(args[0]), *args[1:]]
            result = getattr(torch.Tensor, name)(*own, **kwargs)
            return own[0] if name == "__setitem__" else result
        except Exception as error:  # of every kind: it is the outcome
            return error

    args, kwargs, expected = fuzzer.accepted(row, oracle, 6)
    label = announced(f"Tensor.{name} {described(args)} {described(kwargs)}")
    if not args or not isinstance(args[0], torch.Tensor):
        return
    given = mirrored(args)
    before, view = given[0].clone(), given[0].reshape(-1)
    kind, value = outcome(lambda: getattr(ggml.Tensor, name)(*given, **mirrored(kwargs)))
    judge(counts, label, kind, value, expected, row.name in VALUE_FREE)
    for other, wanted in ((before, args[0]), (view, args[0].reshape(-1))):
        if kind != "escaped":
            assert_same(other, wanted, 1e-4)


def call_factory(fuzzer: Fuzzer, counts: Findings) -> None:
    name = fuzzer.rng.choice(sorted(_FACTORIES))
    fuzzer.begin()
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for kind in _FACTORIES[name]:
        if kind == "dtype":
            if fuzzer.rng.random() < 0.5:
                kwargs["dtype"] = fuzzer.rng.choice(list(TORCH_DTYPES.values()))
        else:
            args.append(_factory_argument(fuzzer, kind))
    label = announced(f"{name} {described(args)} {described(kwargs)}")
    try:
        expected = getattr(torch, name)(*args, **kwargs)
        expected = NotImplementedError() if expected.dtype is torch.float64 else expected
    except Exception as error:  # of every kind: it is the outcome
        expected = error
    # PyTorch counts in the dtype asked for: a step of 0.5 is none.
    is_open = any(isinstance(one, float) and (not np.isfinite(one) or name in ("arange", "linspace")) for one in args)
    judge(counts, label, *outcome(lambda: getattr(ggml, name)(*mirrored(args), **mirrored(kwargs))), expected, is_open)


def _factory_argument(fuzzer: Fuzzer, kind: str) -> Any:
    rng = fuzzer.rng
    if rng.random() < 0.03:
        return rng.choice([None, "x", -7, (), 1 << 40, float("nan"), float("inf")])
    if kind == "tensor":
        return fuzzer.tensor()
    if kind == "list":
        array = np.array(fuzzer.arrays.integers(-3, 4, fuzzer.shape()))
        return (array * rng.choice([1, 0.5])).tolist() if rng.random() < 0.7 else (array > 0).tolist()
    if kind == "size":
        return fuzzer.shape()
    return rng.choice([0, 1, 2, 5]) if kind == "count" else rng.choice([0, 1, -2, 0.5, 7, 10.0, True])


def run_program(fuzzer: Fuzzer, counts: Findings, rows: list[Op]) -> None:
    program = Program(fuzzer, rows)
    is_compiled = fuzzer.rng.random() < 0.4
    label = announced(f"{'compiled ' if is_compiled else ''}program {program}")
    if not program.steps:
        return
    try:
        expected = program.torch_result()
    except Exception:
        return
    kind, value = outcome(lambda: program.run(is_compiled))
    if kind == "errors" and is_compiled and isinstance(value, ggml.TracingError):
        counts["errors"] += 1
        return
    judge(counts, label, kind, value, expected, is_open=True)
    if kind != "results":
        return
    perturbed = []
    for seed in (1, 2, 3):
        try:
            perturbed.append(program.torch_result(perturbation(seed)))
        except Exception:  # a place that is not there any more
            return
    for place, (found, wanted) in enumerate(zip(value, expected, strict=True)):
        wrong = difference(found, wanted, [one[place] for one in perturbed])
        if wrong is not None:
            counts.wrong("mismatches", label, f"step {place} ({program.steps[place].row.name}): {wrong}")
            return


def main(seed: int, num_calls: int, names: list[str]) -> Findings:
    fuzzer, counts = Fuzzer(seed), Findings()
    rows = [TABLE[name] for name in names] or ROWS
    closed = [
        row
        for row in ROWS
        if row.name not in OPEN | FREE and module_of(row) not in OPEN_MODULES and not row.torch.startswith("fft.")
    ]
    for _ in range(num_calls):
        counts["calls"] += 1
        kind = fuzzer.rng.random()
        if kind < 0.5:
            call_row(fuzzer, counts, fuzzer.rng.choice(rows))
        elif kind < 0.75:
            call_method(fuzzer, counts, fuzzer.rng.choice(rows))
        elif kind < 0.8 and not names:
            call_factory(fuzzer, counts)
        else:
            run_program(fuzzer, counts, closed)
    return counts


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found = main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    print(dict(found))
    sys.exit(1 if found["mismatches"] or found["escaped"] else 0)
