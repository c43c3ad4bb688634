"""What an operation's lowering is written with: values in, values out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.devices import Device
from ggml.core.dtypes import BF16, F16, F32, I32, I64, DType, of_ggml_type
from ggml.core.errors import UnsupportedOpError
from ggml.core.node import Node, Shape
from ggml.graph.program import Program, bits, extents, kernel_results
from ggml.graph.value import Value, coalesce, row_major

_HALF = (F16, BF16)

# Rows of this many elements let the threads of an elementwise operation share the work.
_ROW_WIDTHS = (4096, 1024, 256, 64)


class Builder:
    """Steps over values. Everything returned is a value; ``dense`` is where a copy may happen."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.program = Program(device)
        self.op = ""  # the operation that is being lowered, for messages
        self.claimed: set[int] = set()  # steps that are outputs
        self.packed: dict[int, int] = {}  # steps whose rows were packed for products, and those that did
        self._begins: list[tuple[int, str]] = []

    def begin(self, op: str) -> None:
        """The steps from here on belong to this operation."""
        self.op = op
        self._begins.append((self.program.num_steps, op))

    def step_ops(self) -> list[str]:
        """The operation that each step belongs to."""
        ends = [step for step, _ in self._begins[1:]] + [self.program.num_steps]
        names = [""] * (self._begins[0][0] if self._begins else self.program.num_steps)
        for (begin, op), end in zip(self._begins, ends, strict=True):
            names += [op] * (end - begin)
        return names

    # Memory

    def emit(self, name: str, sources: Sequence[int], type: int, shape: Shape, params: Sequence[int] = ()) -> Value:
        """A step whose result has this shape."""
        step = self.program.emit(name, sources, type, extents(shape), params)
        return Value(step, type, shape, row_major(shape))

    def scalar(self, number: float, type: int) -> Value:
        return self.program.scalar(number, type)

    def full(self, number: float, type: int, shape: Shape) -> Value:
        return self.scalar(number, type).expand(shape)

    def constant(self, array: NDArray[np.generic], type: int) -> Value:
        return self.program.constant(array, type)

    def dense(self, value: Value) -> Value:
        """The value in row-major order, copied unless it lies so already."""
        block = of_ggml_type(value.type).block
        if value.is_dense and (block == 1 or (value.shape or (1,))[-1] % block == 0):
            return value
        if block > 1:
            raise UnsupportedOpError(self.op, "any backend", "dequantise with .float() before moving elements")
        axes, (strides,) = coalesce(value.shape, (value.strides,))
        if not self.device.is_cpu and len(axes) <= 4 and min(strides, default=0) >= 0:
            return self.emit("cont", (self._strided(value, axes, strides),), value.type, axes).reshape_to(value.shape)
        axes, strides = axes or (1,), strides or (1,)
        params = (len(axes), *axes, *strides, value.offset)
        return self.emit("copy", (value.step,), value.type, axes, params).reshape_to(value.shape)

    def own(self, value: Value) -> Value:
        """The value as the whole of a step that is no input: what an output has to be."""
        dense = self.dense(value)
        whole = dense.offset == 0 and math.prod(self.program.extents_of(dense.step)) == dense.numel
        if whole and not self.program.is_input(dense.step):
            return dense
        return self.duplicate(dense)

    def duplicate(self, value: Value) -> Value:
        """A copy in memory of its own."""
        if of_ggml_type(value.type).block > 1:
            raise UnsupportedOpError(self.op, "any backend", "a quantised tensor cannot be a result; take .float()")
        if not self.device.is_cpu:
            return self.emit("cont", (self.operand(value, value.shape),), value.type, value.shape)
        params = (1, value.numel, 1, value.offset)
        return self.emit("copy", (self.dense(value).step,), value.type, value.shape, params)

    def reshape(self, value: Value, shape: Shape) -> Value:
        return value.reshape(shape) or self.dense(value).reshape_to(shape)

    def operand(self, value: Value, shape: Shape) -> int:
        """The step that shows a dense copy of the value in this shape (axes beyond four are folded)."""
        return self.program.view(self.dense(value), extents(shape))

    def _strided(self, value: Value, axes: Shape, strides: tuple[int, ...]) -> int:
        ne = extents(axes)
        pattern = [*reversed(strides), 0, 0, 0, 0][:4]
        pattern = [stride if extent > 1 else 1 for stride, extent in zip(pattern, ne, strict=True)]
        return self.program.view(value, ne, (pattern[0], pattern[1], pattern[2], pattern[3]))

    # Types

    def cast(self, value: Value, type: int) -> Value:
        """The elements in another ggml type."""
        if value.type == type:
            return value
        integers = (I32, I64)
        if value.type not in integers and type not in integers:
            if F32 not in (value.type, type):
                return self.cast(self.cast(value, F32), type)
            return self.emit("cast", (self.operand(value, value.shape),), type, value.shape)
        if value.type not in (F32, *integers):
            value = self.cast(value, F32)
        if type in _HALF:
            return self.cast(self.cast(value, F32), type)
        return self.map({F32: "to_f32", I32: "to_i32", I64: "to_i64"}[type], value)

    def to_dtype(self, value: Value, dtype: DType) -> Value:
        """The elements as ``dtype``; a bool is whether they differ from zero."""
        if dtype.name == "bool":
            return self.map("to_bool", value if value.type in (F32, I32, I64) else self.cast(value, F32))
        return self.cast(value, dtype.ggml_type)

    # Elementwise

    def map(self, kernel: str, *values: Value, shape: Shape | None = None) -> Value:
        """Our elementwise kernel of that name, over values that broadcast to ``shape``."""
        shape = values[0].shape if shape is None else shape
        result = kernel_results("map")[kernel, values[-1].type]
        wide = [value.expand(shape) for value in values]
        axes, patterns = coalesce(shape, [value.strides for value in wide])
        # A scheduler cannot copy elements that are shown more than once to the CPU, where the kernel runs.
        lowest = min((min(pattern, default=1) for pattern in patterns), default=1)
        if len(axes) > 4 or lowest < 0 or (lowest == 0 and not self.device.is_cpu):
            wide = [self.dense(value) for value in wide]
            axes, patterns = coalesce(shape, [value.strides for value in wide])
        sources = [self._strided(value, axes, pattern) for value, pattern in zip(wide, patterns, strict=True)]
        return self.emit(f"map:{kernel}", sources, result, axes).reshape_to(shape)

    def unary(self, name: str, value: Value, *params: float) -> Value:
        """ggml's elementwise operation of that name."""
        rows = _rows(value.shape)
        words = [bits(param) for param in params]
        return self.emit(name, (self.operand(value, rows),), F32, rows, words).reshape_to(value.shape)

    def scale(self, value: Value, factor: float, bias: float = 0.0) -> Value:
        """``value * factor + bias``."""
        return self.unary("scale", value, factor, bias)

    def binary(self, name: str, a: Value, b: Value, shape: Shape) -> Value:
        """ggml's ``add``, ``sub``, ``mul`` or ``div`` of float32 values that broadcast to ``shape``."""
        a, b = self.dense(a), self.dense(b)
        if a.numel != math.prod(shape) and b.numel == math.prod(shape) and name in ("add", "mul"):
            a, b = b, a
        if a.numel != math.prod(shape):
            a = self.dense(a.expand(shape))
        a, wide = a.reshape_to(shape), b.expand(shape)
        axes, patterns = coalesce(shape, (a.strides, wide.strides))
        if len(axes) > 4:
            return self.binary(name, a, self.dense(wide), shape)
        if axes and patterns[1][-1] == 0 and self.device.is_cpu:  # ggml would add one element at a time
            return self.map(name, a, wide)
        if len(axes) == 1 and self.device.is_cpu:  # ggml's threads share rows
            axes = _rows(axes)
            patterns = [(axes[-1], 1), (axes[-1], 1)] if patterns[1][0] else [(axes[-1], 1), (0, 0)]
        narrow = tuple(1 if stride == 0 else extent for extent, stride in zip(axes, patterns[1], strict=True))
        sources = (self.operand(a, axes), self.operand(b, narrow))
        return self.emit(name, sources, F32, axes).reshape_to(shape)

    # Rows

    def rows(self, name: str, value: Value, *params: float, width: int | None = None) -> Value:
        """ggml's operation on each row (the last axis); ``width`` is the length of a result row."""
        shape = _folded(value.shape)
        result = shape if width is None else (*shape[:-1], width)
        words = [bits(param) for param in params]
        step = self.emit(name, (self.operand(value, shape),), F32, result, words)
        return step.reshape_to(value.shape if width is None else (*value.shape[:-1], width))

    def row_kernel(self, family: str, kernel: str, value: Value, *params: int) -> Value:
        """Our kernel of a family (reduce, scan, sort) on each row; a reduction leaves rows of one."""
        result = kernel_results(family)[kernel, value.type]
        width = 1 if family == "reduce" else value.shape[-1]
        shape = _folded(value.shape)
        step = self.emit(f"{family}:{kernel}", (self.operand(value, shape),), result, (*shape[:-1], width), params)
        return step.reshape_to((*value.shape[:-1], width))

    def exponential(self, name: str, value: Value) -> Value:
        """``exp``, ``sigmoid`` or ``tanh``: our vector kernel; on other devices ggml's operation."""
        return self.exp_rows(name, value) if self.device.is_cpu else self.unary(name, value)

    def exp_rows(self, kernel: str, value: Value) -> Value:
        """Our vector kernel of that name (softmax, log_softmax, exp, erf, gelu ...) on each row."""
        result = kernel_results("exp_rows")[kernel, value.type]
        shape = _folded(value.shape)
        step = self.emit(f"exp_rows:{kernel}", (self.operand(value, shape),), result, shape)
        return step.reshape_to(value.shape)

    # Indices

    def gather(self, value: Value, indices: Value) -> Value:
        """Elements of each row (the last axis) that I64 ``indices``, alike but for the last axis, name."""
        rows, places = _folded(value.shape), _folded(indices.shape)
        sources = (self.operand(value, rows), self.operand(indices, places))
        return self.emit("gather", sources, value.type, places).reshape_to(indices.shape)

    def take(self, value: Value, indices: Value, may_wrap: bool) -> Value:
        """Value [outer, n, inner] and I64 [m] to [outer, m, inner]."""
        outer, _, inner = value.shape
        sources = (self.operand(value, value.shape), self.operand(indices, (indices.numel,)))
        return self.emit("take", sources, value.type, (outer, indices.numel, inner), (int(may_wrap),))

    def scatter(self, kernel: str, base: Value, indices: Value, source: Value, may_wrap: bool) -> Value:
        """Base [outer, n, inner] with the elements of source [outer, m, inner] put (added ...) along n where I64
        indices, [m] or one for each element, say."""
        shape = (indices.numel,) if indices.numel != source.numel else source.shape
        sources = (self.operand(base, base.shape), self.operand(indices, shape), self.operand(source, source.shape))
        return self.emit(f"scatter:{kernel}", sources, base.type, base.shape, (int(may_wrap),))

    def paste(self, base: Value, source: Value, strides: Sequence[int], offset: int) -> Value:
        """Base with the elements of ``source`` in the places of a pattern over its row-major order. No two of them
        may be the same place, and strides are positive."""
        order = sorted(range(len(strides)), key=lambda d: -strides[d])
        source = self.dense(source.permute(order))
        pattern = tuple(strides[d] for d in order)
        axes, (_, merged) = coalesce(source.shape, (row_major(source.shape), pattern))
        axes, merged = axes or (1,), merged or (1,)
        sources = (self.operand(base, base.shape), self.operand(source, source.shape))
        return self.emit("paste", sources, base.type, base.shape, (len(axes), *axes, *merged, offset))

    def search(self, rows: Value, values: Value, is_right: bool) -> Value:
        """Where each element of values [..., m] belongs in its ascending row of [..., n] (or in the only row)."""
        result = kernel_results("search")["ascending", rows.type]
        sources = (self.operand(values, _folded(values.shape)), self.operand(rows, _folded(rows.shape)))
        step = self.emit("search:ascending", sources, result, _folded(values.shape), (int(is_right),))
        return step.reshape_to(values.shape)

    def take_rows(self, value: Value, indices: Value, may_wrap: bool) -> Value:
        """Rows of [n, width] of any type as float32 [m, width]; runs where the rows lie."""
        count, width = value.shape
        flat = self.operand(indices, (indices.numel,))
        checked = self.emit("index", (flat,), I32, (indices.numel,), (count, int(may_wrap)))
        return self.emit("get_rows", (self.operand(value, value.shape), checked.step), F32, (indices.numel, width))


#: (builder, values of the inputs, parameters, the node) -> value of the node's shape. Parameters are the tuple that
#: the row gave to ``make``, a NamedTuple if they are more than three.
Lower = Callable[[Builder, Sequence[Value], Any, Node], Value]


def _rows(shape: Shape) -> Shape:
    """The elements as rows, for operations that do not care where a row ends."""
    numel = math.prod(shape)
    width = next((width for width in _ROW_WIDTHS if numel % width == 0 and numel > width), numel)
    return numel // width, width


def _folded(shape: Shape) -> Shape:
    """All rows along one axis."""
    width = shape[-1] if shape else 1
    return math.prod(shape) // width, width
