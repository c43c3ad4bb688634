"""Random arguments for the fuzzer: of the kind that a row's annotations name, or now and then of another."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import torch

import ggml
from ggml.core.dtypes import QUANTIZED
from ggml.core.op import Op
from tests.ggml.arrays import SPECIAL, TORCH_DTYPES

_EXTENTS = [0, 1, 1, 2, 3, 4, 33]
_NAMES = ["float32"] * 5 + ["float16", "bfloat16", "int32", "int64", "int64", "bool"]
_DIMS = ("dim", "dim0", "dim1", "dim2", "start_dim", "end_dim", "source", "destination")
_WORDS = {
    "reduce": ["sum", "prod", "mean", "amax", "amin", "add", "multiply"],
    "side": ["left", "right"],
    "approximate": ["tanh", "none"],
    "rounding_mode": ["trunc", "floor"],
}
_TENSORS = {"index": "int64", "indices": "int64", "mask": "bool", "condition": "bool", "sorter": "int64"}


class Quantised:
    """A tensor of a quantised dtype. PyTorch has none: a call with one must work or raise a typed error."""

    def __init__(self, dtype: Any, shape: tuple[int, ...], raw: bytes) -> None:
        self.tensor = ggml.from_buffer(raw, dtype=dtype, shape=shape)

    def __repr__(self) -> str:
        return f"<{self.tensor.dtype.name} {tuple(self.tensor.shape)}>"


class Fuzzer:
    """One stream of random arguments. ``pool`` are tensors that a program has made so far."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.arrays = np.random.default_rng(seed)
        self.shapes: list[tuple[int, ...]] = []
        self.dtypes: list[str] = []
        self.pool: list[Any] = []
        self.num_quantised = 0

    def begin(self) -> None:
        self.shapes, self.dtypes, self.num_quantised = [], [], 0

    def shape(self) -> tuple[int, ...]:
        """A new shape, or one that is like an earlier one of this call."""
        if self.shapes and self.rng.random() < 0.75:
            shape = list(self.rng.choice(self.shapes))
            kind = self.rng.random()
            if shape and kind < 0.2:
                shape[self.rng.randrange(len(shape))] = self.rng.choice([0, 1, 2, 3])
            elif kind < 0.3:
                shape = shape[1:]
            elif kind < 0.4:
                shape = shape[::-1]
            return tuple(shape)
        extents = _EXTENTS if self.rng.random() < 0.8 else _EXTENTS[1:]
        shape = tuple(self.rng.choice(extents) for _ in range(self.rng.choice([0, 1, 2, 2, 3, 3, 4, 6])))
        return shape if math.prod(shape) <= 1 << 13 else shape[:2]

    def dtype(self) -> str:
        """Mostly that of the first tensor of the call."""
        if self.dtypes and self.rng.random() < 0.7:
            return self.dtypes[0]
        return self.rng.choice(_NAMES)

    def tensor(self, dtype: str | None = None, shape: tuple[int, ...] | None = None) -> Any:
        if self.pool and self.rng.random() < 0.6:
            fitting = [one for one in self.pool if dtype is None or one.dtype is TORCH_DTYPES[dtype]]
            if fitting:
                return self.noted(self.rng.choice(fitting))
        if dtype is None and self.rng.random() < 0.03:
            return self.quantised()
        return self.noted(self.laid_out(self.values(dtype or self.dtype(), self.shape() if shape is None else shape)))

    def noted(self, x: Any) -> Any:
        self.shapes.append(tuple(x.shape))
        self.dtypes.append(str(x.dtype).removeprefix("torch."))
        return x

    def values(self, dtype: str, shape: tuple[int, ...]) -> Any:
        if dtype == "bool":
            return torch.from_numpy(np.array(self.arrays.random(shape) < 0.5))
        if dtype.startswith("int"):
            low, high = self.rng.choice([(-3, 4), (0, 3), (0, 2), (0, 1)])
            return torch.from_numpy(np.array(self.arrays.integers(low, high, shape))).to(TORCH_DTYPES[dtype])
        array = np.array(self.arrays.normal(size=shape), np.float32)
        if self.rng.random() < 0.3:
            array = np.where(self.arrays.random(shape) < 0.3, self.arrays.choice(SPECIAL, shape), array)
        return torch.from_numpy(np.array(array, np.float32)).to(TORCH_DTYPES[dtype])

    def laid_out(self, x: Any) -> Any:
        """The same shape in another layout: turned, with gaps, repeated, or a view of a view."""
        kind = self.rng.random()
        if kind < 0.6 or not x.ndim:
            return x
        if kind < 0.75:
            return x.transpose(0, -1).contiguous().transpose(0, -1)
        if kind < 0.85:
            return torch.stack([x, x], -1)[..., 1]
        if kind < 0.92:
            return torch.cat([x, x], 0)[x.shape[0] :]
        return x[:1].expand(x.shape) if x.shape[0] else x

    def quantised(self) -> Any:
        self.num_quantised += 1
        dtype = QUANTIZED[self.rng.choice(sorted(QUANTIZED))]
        shape = (self.rng.choice([1, 2, 3]), dtype.block * self.rng.choice([1, 2]))
        if self.rng.random() < 0.3:
            shape = (2, *shape)
        raw = self.arrays.integers(0, 64, dtype.num_bytes(int(np.prod(shape))), np.uint8).tobytes()
        return Quantised(dtype, shape, raw)

    def index(self, shape: tuple[int, ...]) -> Any:
        """What may stand in ``x[...]``."""
        rng = self.rng
        items: list[Any] = []
        axes = list(shape)
        while axes and rng.random() < 0.75:
            extent = axes[0]
            kind = rng.random()
            if kind < 0.2:
                items.append(rng.randint(-extent - (rng.random() < 0.05), max(extent - 1, 0)))
            elif kind < 0.5:
                bounds = [rng.choice([None, 0, 1, -1, 2, -3, 40]) for _ in range(2)]
                items.append(slice(*bounds, rng.choice([None, None, 1, 2, 3])))
            elif kind < 0.7:
                places = self.arrays.integers(-extent, max(extent, 1), rng.choice([(), (1,), (2,), (3, 1), (0,)]))
                items.append(torch.from_numpy(np.array(places)))
            elif kind < 0.78:
                items.append([0, -1])
            elif kind < 0.86:
                items.append(torch.from_numpy(np.array(self.arrays.random(extent) < 0.5)))
            elif kind < 0.92:
                width = rng.randint(0, len(axes))
                items.append(torch.from_numpy(np.array(self.arrays.random(tuple(axes[:width])) < 0.5)))
                axes = axes[width:]
                continue
            else:
                items.append(rng.choice([None, None, True, False]))
                continue
            axes = axes[1:]
        if rng.random() < 0.25:
            items.insert(rng.randint(0, len(items)), ...)
        return tuple(items) if len(items) != 1 or rng.random() < 0.5 else items[0]

    def argument(self, row: Op, name: str, kind: str) -> Any:
        rng = self.rng
        if rng.random() < 0.03:
            return rng.choice([None, "x", 1.5, -7, (), [1], 1 << 40, float("nan"), True])
        if name == "tensors":
            return [self.tensor() for _ in range(rng.choice([0, 1, 2, 3]))]
        if kind == "Index":
            return self.index(self.shapes[0] if self.shapes else (2, 3))
        if name == "indices" and "Sequence" in kind:
            shape = self.shape()
            return tuple(self.tensor("int64", shape) for _ in range(rng.choice([1, 1, 2, 3])))
        if name in _DIMS and "Tensor" not in kind:
            return rng.choice([0, 0, 1, -1, -2, 2, 5, (0,), (0, 1), (-1, 0)])
        if "Operand" in kind or ("Tensor" in kind and "Number" in kind):
            return self.tensor() if rng.random() < 0.6 else rng.choice([0, 1, -2, 0.5, 3.0, True])
        if "Tensor" in kind:
            return self.tensor(_TENSORS.get(name) if rng.random() < 0.9 else None)
        if "bool" in kind:
            return rng.random() < 0.5
        if "DType" in kind:
            return rng.choice(list(TORCH_DTYPES.values()))
        if "Sequence" in kind or kind == "Any":
            return [rng.choice([-1, 0, 1, 2, 3, 4]) for _ in range(rng.choice([0, 1, 2, 3]))]
        if "str" in kind:
            return rng.choice(_WORDS.get(name, ["tanh", "none", "trunc", "floor", "mean", "sum", "reflect"]))
        return rng.choice(
            [0, 1, -1, 2, 3, 0.5, 1e-5] if "float" in kind or "Number" in kind else [0, 0, 1, -1, 2, 3, 4]
        )

    def call(self, row: Op) -> tuple[list[Any], dict[str, Any]]:
        """Arguments for a row, in the order of its signature; later ones may be left out."""
        self.begin()
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
            value = self.argument(row, parameter.name, kind)
            if parameter.kind is parameter.KEYWORD_ONLY:
                kwargs[parameter.name] = value
            else:
                args.append(value)
        return args, kwargs

    def accepted(self, row: Op, oracle: Any, attempts: int) -> tuple[list[Any], dict[str, Any], Any]:
        """Arguments that PyTorch takes if some are found in so many attempts, and its result."""
        for _ in range(attempts):
            args, kwargs = self.call(row)
            expected = NotImplementedError("quantised") if self.num_quantised else oracle(args, kwargs)
            if not isinstance(expected, Exception):
                break
        return args, kwargs, expected


def mirrored(value: Any) -> Any:
    """The arguments with ggml's tensors in place of PyTorch's, over the same memory."""
    if isinstance(value, Quantised):
        return value.tensor
    if isinstance(value, torch.Tensor):
        return ggml.from_dlpack(value)
    if isinstance(value, torch.dtype):
        return getattr(ggml, str(value).removeprefix("torch."))
    if isinstance(value, (list, tuple)):
        return type(value)(mirrored(item) for item in value)
    if isinstance(value, dict):
        return {key: mirrored(item) for key, item in value.items()}
    return value


def copied(value: Any) -> Any:
    """The arguments with tensors of their own, that a call may change."""
    if isinstance(value, torch.Tensor):
        return value.clone(memory_format=torch.contiguous_format)
    if isinstance(value, (list, tuple)):
        return type(value)(copied(item) for item in value)
    return value


def described(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        layout = "" if value.is_contiguous() else f" strides {value.stride()}"
        return f"<{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}{layout}>"
    if isinstance(value, dict):
        return {key: described(item) for key, item in value.items()}
    return type(value)(described(item) for item in value) if isinstance(value, (list, tuple)) else value
