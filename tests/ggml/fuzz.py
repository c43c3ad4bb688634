"""The child of test_fuzz: ``python -m tests.ggml.fuzz SEED NUM_CALLS``."""

from __future__ import annotations

import random
import sys
import warnings
from collections import Counter
from typing import Any

import numpy as np
import torch

import ggml
from ggml.table import TABLE, Op
from tests.ggml.arrays import SPECIAL, TORCH_DTYPES, to_ggml
from tests.ggml.compare import assert_same
from tests.ggml.oracle import torch_result

ROWS = [row for row in TABLE.values() if row.sample != "internal"]

# Values that PyTorch leaves open, or computes with another precision in some corner.
VALUE_FREE = {
    "topk", "argsort", "sort", "digamma", "lgamma", "tan", "erfinv", "to", "int", "long", "type_as", "pow", "prod",
    "cumprod", "std", "var", "norm", "normalize", "isclose", "remainder", "fmod", "floor_divide", "div", "cumsum",
    "bitwise_left_shift", "bitwise_right_shift", "layer_norm", "rms_norm", "group_norm", "logsumexp", "log_softmax",
    "dropout", "gelu", "scaled_dot_product_attention", "einsum", "matrix_power", "vector_norm", "matrix_norm",
    "linalg_norm", "solve_triangular", "multi_dot", "chain_matmul", "dropout1d", "dropout2d", "dropout3d",
    "alpha_dropout", "feature_alpha_dropout", "rrelu",
    "mode", "multilabel_soft_margin_loss", "ldexp", "kthvalue", "median", "nanmedian", "var_mean", "std_mean",
    "trapezoid", "cumulative_trapezoid", "logit",
    "cosine_similarity", "binary_cross_entropy_with_logits", "multinomial", "gumbel_softmax",
    *(row.name for row in ROWS if row.torch.startswith("fft.") or row.name in ("stft", "istft")),
    "batch_norm", "instance_norm", "local_response_norm",
    "lp_pool1d", "lp_pool2d", "lp_pool3d",
}  # fmt: skip


class Fuzzer:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.arrays = np.random.default_rng(seed)
        self.shapes: list[tuple[int, ...]] = []

    def shape(self) -> tuple[int, ...]:
        """A new shape, or one that is like an earlier one of this call."""
        if self.shapes and self.rng.random() < 0.7:
            shape = list(self.rng.choice(self.shapes))
            kind = self.rng.random()
            if shape and kind < 0.2:
                shape[self.rng.randrange(len(shape))] = self.rng.choice([0, 1, 2, 3])
            elif kind < 0.3:
                shape = shape[1:]
            elif kind < 0.4:
                shape = shape[::-1]
            return tuple(shape)
        return tuple(self.rng.choice([0, 1, 1, 2, 3, 4, 33]) for _ in range(self.rng.choice([0, 1, 2, 2, 3, 3, 4, 6])))

    def tensor(self) -> Any:
        shape = self.shape()
        self.shapes.append(shape)
        name = self.rng.choice(["float32"] * 4 + ["float16", "bfloat16", "int32", "int64", "int64", "bool"])
        if name == "bool":
            return torch.from_numpy(np.array(self.arrays.random(shape) < 0.5))
        if name.startswith("int"):
            return torch.from_numpy(np.array(self.arrays.integers(-3, 4, shape))).to(TORCH_DTYPES[name])
        array = np.array(self.arrays.normal(size=shape), np.float32)
        if self.rng.random() < 0.3:
            array = np.where(self.arrays.random(shape) < 0.3, self.arrays.choice(SPECIAL, shape), array)
        return torch.from_numpy(np.array(array, np.float32)).to(TORCH_DTYPES[name])

    def argument(self, name: str, kind: str) -> Any:
        """Something of the kind that the annotation names, or now and then something else."""
        rng = self.rng
        if rng.random() < 0.04:
            return rng.choice([None, "x", 1.5, -7, (), [1], 1 << 40, float("nan"), True])
        if name == "tensors":
            return [self.tensor() for _ in range(rng.choice([0, 1, 2, 3]))]
        if name in ("dim", "dim0", "dim1", "dim2", "start_dim", "end_dim", "source", "destination"):
            return rng.choice([0, 0, 1, -1, -2, 2, 5, (0,), (0, 1), (-1, 0)])
        if "Operand" in kind:
            return self.tensor() if rng.random() < 0.6 else rng.choice([0, 1, -2, 0.5, 3.0, True])
        if "Tensor" in kind:
            return self.tensor()
        if "bool" in kind:
            return rng.random() < 0.5
        if "DType" in kind:
            return rng.choice(list(TORCH_DTYPES.values()))
        if "Sequence" in kind or kind == "Any":
            return [rng.choice([-1, 0, 1, 2, 3, 4]) for _ in range(rng.choice([0, 1, 2, 3]))]
        if "str" in kind:
            return rng.choice(["tanh", "none", "trunc", "floor"])
        return rng.choice([0, 1, -1, 2, 3, 0.5, 1e-5])

    def call(self, row: Op) -> tuple[list[Any], dict[str, Any]]:
        self.shapes = []
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for place, parameter in enumerate(row.signature.parameters.values()):
            kind = parameter.annotation if isinstance(parameter.annotation, str) else "Any"
            if parameter.kind is parameter.VAR_KEYWORD:
                continue
            if place and parameter.default is not parameter.empty and self.rng.random() < 0.5:
                if parameter.kind is not parameter.KEYWORD_ONLY:
                    break
                continue
            value = self.argument(parameter.name, kind)
            if parameter.kind is parameter.KEYWORD_ONLY:
                kwargs[parameter.name] = value
            else:
                args.append(value)
        return args, kwargs


def outcome(row: Op, args: list[Any], kwargs: dict[str, Any]) -> tuple[str, Any]:
    """What ggml makes of the call: ``error`` or ``result``. Anything but a GgmlError or TypeError escapes."""
    try:
        result = row.function(*to_ggml(args), **to_ggml(kwargs))
        if not isinstance(result, bool):
            ggml.eval(result)
    except ggml.GgmlError as error:
        return "error", error
    return "result", result


def main(seed: int, num_calls: int) -> Counter[str]:
    fuzzer, counts = Fuzzer(seed), Counter[str]()
    for number in range(num_calls):
        row = fuzzer.rng.choice(ROWS)
        args, kwargs = fuzzer.call(row)
        label = f"call {number}: {row.name} {describe(args)} {describe(kwargs)}"
        print(label[:300], file=sys.stderr, flush=True)
        try:
            kind, value = outcome(row, args, kwargs)
        except Exception as error:
            print(f"ESCAPED {type(error).__name__}: {str(error)[:200]} from {label}")
            counts["escaped"] += 1
            continue
        counts[kind] += 1
        expected = torch_result(row, args, kwargs)
        if kind == "error" and not isinstance(expected, Exception):
            counts["refused what PyTorch takes"] += 1
            print(f"STRICTER {label[:200]} {value}")
        if kind == "result" and not isinstance(expected, Exception) and row.name not in VALUE_FREE:
            try:
                assert_same(value, expected, 1e-4)
            except AssertionError as error:
                print(f"MISMATCH {label}\n{str(error)[:500]}")
                counts["mismatch"] += 1
    return counts


def describe(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return f"<{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}>"
    if isinstance(value, dict):
        return {key: describe(item) for key, item in value.items()}
    return [describe(item) for item in value] if isinstance(value, (list, tuple)) else value


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    found = main(int(sys.argv[1]), int(sys.argv[2]))
    print(dict(found))
    sys.exit(1 if found["mismatch"] or found["escaped"] else 0)
