"""Arguments for each operation that has a rule of its own, as its schema lists them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

Sample = tuple[tuple[Any, ...], dict[str, Any]]

_RANDOM = torch.Generator().manual_seed(7)


def real(*shape: int) -> Tensor:
    return torch.randn(shape, generator=_RANDOM)


def whole(limit: int, *shape: int) -> Tensor:
    return torch.randint(0, limit, shape, generator=_RANDOM)


def _of(*args: Any, **kwargs: Any) -> Sample:
    return args, kwargs


_X = real(2, 3, 4)
_PLANES, _CUBES, _LINES = real(2, 4, 6, 7), real(2, 4, 4, 5, 6), real(2, 4, 9)
_IMAGES = {1: _LINES, 2: _PLANES, 3: _CUBES}
_ENDS = torch.tensor([2, 2, 5], dtype=torch.int32)


def _creating() -> Iterator[tuple[str, list[Sample]]]:
    yield "aten.arange.default", [_of(5), _of(2.5), _of(4, dtype=torch.float32)]
    yield "aten.arange.start", [_of(2, 7), _of(-1.5, 3.0)]
    yield "aten.arange.start_step", [_of(1, 9, 3), _of(5, -5, -2), _of(0.0, 1.0, 0.25)]
    yield "aten.full.default", [_of([2, 3], 1.5), _of([2], 7), _of([], True), _of([2], 3, dtype=torch.float32)]
    for name in ("zeros", "ones"):
        yield f"aten.{name}.default", [_of([2, 3]), _of([4], dtype=torch.int64)]
        yield f"aten.{name}_like.default", [_of(_X), _of(_X, dtype=torch.int32)]
        yield f"aten.new_{name}.default", [_of(_X, [2, 2]), _of(_X, [3], dtype=torch.bool)]
    yield "aten.full_like.default", [_of(_X, 2.5), _of(_X, 3, dtype=torch.int64)]
    yield "aten.new_full.default", [_of(_X, [2, 2], 0.5), _of(whole(9, 3), [2], 4)]
    yield "aten.scalar_tensor.default", [_of(2.5), _of(3, dtype=torch.int64)]
    yield "aten.linspace.default", [_of(0.0, 1.0, 5), _of(3, -3, 4)]
    yield "aten.eye.default", [_of(3)]
    yield "aten.eye.m", [_of(2, 4)]
    yield "aten.fill.Scalar", [_of(_X, 2.0), _of(whole(9, 3), 4)]
    yield "aten.fill.Tensor", [_of(_X, torch.tensor(1.5))]
    for name in ("tril_indices", "triu_indices"):
        yield f"aten.{name}.default", [_of(3, 4), _of(4, 3, -1), _of(3, 3, 1)]


def _moving() -> Iterator[tuple[str, list[Sample]]]:
    for name in ("clone", "alias", "contiguous", "lift_fresh_copy", "detach", "detach_"):
        yield f"aten.{name}.default", [_of(_X)]
    yield "aten.copy.default", [_of(_X, real(3, 4)), _of(whole(5, 2, 3), real(3) * 9)]
    yield "aten._to_copy.default", [_of(_X), _of(_X * 9, dtype=torch.int64), _of(_X, dtype=torch.float16)]
    yield "aten.to.dtype_layout", [_of(_X * 9, dtype=torch.int32)]
    yield "aten.to.dtype", [_of(_X, torch.bfloat16), _of(whole(3, 4), torch.bool)]
    yield "aten.slice.Tensor", [_of(_X), _of(_X, 1, 1), _of(_X, -1, -3, 9), _of(_X, 2, 0, 4, 2)]
    first, second = whole(2, 5), whole(4, 5)
    yield "aten.index.Tensor", [_of(_X, [first]), _of(_X, [None, whole(3, 2, 2)]), _of(_X, [first, None, second])]
    yield "aten.index_put.default", [
        _of(_X, [torch.tensor([1, 0])], real(2, 3, 4)), _of(_X, [first, whole(3, 5)], real(5, 4), True),
        _of(_X, [_X > 0.5], torch.tensor(0.0)), _of(_X, [None, None, torch.tensor([3, 1])], real(2, 3, 2)),
        _of(_X, [None, torch.tensor([2, 0])], real(2, 1), True),
        _of(_X, [torch.tensor([1]), None, torch.tensor([2])], real(1, 3)),
    ]  # fmt: skip
    yield "aten.split.sizes", [_of(_X, [1, 2], 1)]


def _norms() -> Iterator[tuple[str, list[Sample]]]:
    by_channel = [real(4), real(4)]
    seen = [real(4), real(4).abs() + 0.5]
    yield "aten.layer_norm.default", [_of(_X, [4], *by_channel), _of(_X, [3, 4], eps=1e-3)]
    yield "aten.group_norm.default", [_of(_PLANES, 2, *by_channel), _of(_LINES, 4)]
    yield (
        "aten.instance_norm.default",
        [
            _of(_PLANES, *by_channel, None, None, True, 0.1, 1e-5, True),
            _of(_PLANES, *by_channel, *seen, False, 0.1, 1e-5, True),
        ],
    )
    yield "aten._native_batch_norm_legit_no_training.default", [
        _of(_PLANES, *by_channel, *seen, 0.1, 1e-5), _of(_LINES, None, None, *seen, 0.1, 1e-3)
    ]  # fmt: skip
    yield "aten._native_batch_norm_legit.no_stats", [
        _of(_PLANES, *by_channel, True, 0.0, 1e-5), _of(real(1, 4, 9), None, None, True, 0.1, 1e-3)
    ]  # fmt: skip
    for name in ("_softmax", "_log_softmax"):
        yield f"aten.{name}.default", [_of(_X, 1, False), _of(_X, -1, False)]
    hidden = _X.masked_fill(torch.tensor([True, False, True, True]), float("-inf"))
    yield "aten._safe_softmax.default", [_of(_X, -1), _of(hidden, 1)]
    yield "aten.elu.default", [_of(_X), _of(_X, 0.5, 1.5)]
    yield "aten.linalg_vector_norm.default", [_of(_X), _of(_X, 1, [0, 2], True), _of(_X, float("inf"), [1])]
    yield "aten.norm.ScalarOpt_dim", [_of(_X, 2, [1]), _of(_X, None, [0, 1], True)]
    yield "aten.einsum.default", [_of("abc,dc->abd", [_X, real(5, 4)]), _of("abc->ca", [_X])]
    yield "aten.histc.default", [
        _of(whole(5, 30).float(), 5, 0, 4), _of(real(50), 8), _of(real(40), 6, -1, 1), _of(torch.ones(3), 4)
    ]  # fmt: skip
    # torch multiplies groups only where rows begin at multiples of 16 bytes.
    yield (
        "aten._grouped_mm.default",
        [_of(real(6, 8).bfloat16(), real(3, 8, 16).bfloat16(), torch.tensor([2, 2, 6], dtype=torch.int32))],
    )


def _sequences() -> Iterator[tuple[str, list[Sample]]]:
    weight, ids = real(9, 5), whole(9, 8)
    offsets = torch.tensor([0, 3, 3])
    bags = [
        _of(weight, ids, offsets), _of(weight, ids, offsets, False, 1), _of(weight, ids, offsets, False, 2),
        _of(weight, ids, offsets, False, 0, False, real(8)), _of(weight, ids, offsets, False, 0, False, None, False, 4),
    ]  # fmt: skip
    yield "aten.embedding_bag.padding_idx", [_of(weight, ids, offsets, False, 0, False, None, False, 4)]
    for name in ("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only"):
        yield f"aten.{name}.default", bags if name != "embedding_bag" else bags[:4]
    for name, gates, states in (("lstm", 4, 2), ("gru", 3, 1), ("rnn_tanh", 1, 1), ("rnn_relu", 1, 1)):
        both = []
        for layers, directions in ((1, 1), (2, 2)):
            start = [real(layers * directions, 2, 6) for _ in range(states)]
            params = []
            for layer in range(layers):
                width = 5 if layer == 0 else 6 * directions
                params += [real(gates * 6, width), real(gates * 6, 6), real(gates * 6), real(gates * 6)] * directions
            both.append(
                _of(
                    real(2, 7, 5),
                    start if states == 2 else start[0],
                    params,
                    True,
                    layers,
                    0.0,
                    False,
                    directions == 2,
                    True,
                )
            )
        yield f"aten.{name}.input", both


def _spatial() -> Iterator[tuple[str, list[Sample]]]:
    yield (
        "aten.convolution.default",
        [
            _of(_LINES, real(6, 4, 3), real(6), [2], [1], [1], False, [0], 1),
            _of(_PLANES, real(6, 2, 3, 3), None, [1, 2], [1, 0], [1, 1], False, [0, 0], 2),
            _of(_PLANES, real(4, 3, 3, 2), real(3), [2, 2], [1, 0], [1, 1], True, [1, 0], 1),
        ],
    )
    for rank, overload in ((1, "default"), (2, "input"), (3, "input")):
        yield (
            f"aten.conv_transpose{rank}d.{overload}",
            [_of(_IMAGES[rank], real(4, 3, *[3] * rank), real(3), [2] * rank, [1] * rank, [1] * rank)],
        )
    for rank in (2, 3):
        yield f"aten.max_pool{rank}d_with_indices.default", [
            _of(_IMAGES[rank], [2] * rank), _of(_IMAGES[rank], [3] * rank, [2] * rank, [1] * rank)
        ]  # fmt: skip
    yield "aten.adaptive_max_pool2d.default", [_of(_PLANES, [2, 3]), _of(_PLANES, [4, 4])]
    for rank in (1, 2, 3):
        for name in ("reflection_pad", "replication_pad"):
            yield f"aten.{name}{rank}d.default", [_of(_IMAGES[rank], [1, 2] * rank)]
    yield from _resizing()
    grid, deep = real(2, 5, 4, 2) * 0.8, real(2, 3, 4, 5, 3) * 0.8
    each = [(0, 0, False), (1, 1, True), (0, 2, False)]
    yield "aten.grid_sampler_2d.default", [_of(_PLANES, grid, *one) for one in [*each, (2, 0, False)]]
    yield "aten.grid_sampler_3d.default", [_of(_CUBES, deep, *one) for one in each]
    yield "aten.grid_sampler.default", [_of(_PLANES, grid, *each[0]), _of(_CUBES, deep, *each[0])]


def _resizing() -> Iterator[tuple[str, list[Sample]]]:
    sizes: dict[int, tuple[Sequence[int], Sequence[float]]] = {
        1: ([13], [1.5]), 2: ([9, 10], [1.5, 2.0]), 3: ([6, 7, 9], [1.5, 2.0, 0.5])
    }  # fmt: skip
    for name, rank, corners in (
        ("upsample_nearest1d", 1, False), ("upsample_nearest2d", 2, False), ("upsample_nearest3d", 3, False),
        ("_upsample_nearest_exact1d", 1, False), ("_upsample_nearest_exact2d", 2, False),
        ("_upsample_nearest_exact3d", 3, False), ("upsample_linear1d", 1, True), ("upsample_bilinear2d", 2, True),
        ("upsample_trilinear3d", 3, True), ("upsample_bicubic2d", 2, True), ("_upsample_bilinear2d_aa", 2, True),
        ("_upsample_bicubic2d_aa", 2, True),
    ):  # fmt: skip
        size, factors = sizes[rank]
        aligned = [(False,), (True,)] if corners else [()]
        yield f"aten.{name}.default", [_of(_IMAGES[rank], size, *one) for one in aligned]
        yield (
            f"aten.{name}.vec",
            [
                sample
                for one in aligned
                for sample in (_of(_IMAGES[rank], size, *one, None), _of(_IMAGES[rank], None, *one, factors))
            ],
        )


SAMPLES: dict[str, list[Sample]] = {
    name: samples for group in (_creating(), _moving(), _norms(), _sequences(), _spatial()) for name, samples in group
}

#: What is left open by PyTorch: the numbers in memory that nobody has written, what only training reads.
LEFT_OPEN = {"aten.empty.memory_format", "aten.empty_like.default", "aten.new_empty.default"}

#: An extent is worked out before there is a graph.
ONLY_IN_GRAPHS = {"aten.sym_size.int"}


def _rows() -> Iterator[tuple[str, list[Sample]]]:
    for name in ("add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge", "remainder", "fmod"):
        yield f"aten.{name}.Scalar", [_of(_X, 0.75), _of(whole(9, 3, 4), 2)]
    for name in ("and", "or", "xor"):
        yield f"aten.bitwise_{name}.Scalar", [_of(whole(9, 3, 4), 5)]
    yield "aten.div.Scalar_mode", [_of(_X, 0.3, rounding_mode=mode) for mode in ("floor", "trunc", None)]
    yield "aten.floor_divide.Scalar", [_of(_X, 0.3)]
    yield "aten.pow.Tensor_Scalar", [_of(_X, 2), _of(_X.abs(), -0.5)]
    yield "aten.pow.Scalar", [_of(2.0, _X)]
    yield "aten.clamp.default", [_of(_X, -0.5, 0.5), _of(_X, None, 0.1)]
    yield "aten.clamp_max.default", [_of(_X, 0.5)]
    yield "aten.clamp_min.default", [_of(_X, 0.5)]
    mask = _X > 0
    yield "aten.where.Scalar", [_of(mask, 1.0, 2.0)]
    yield "aten.where.ScalarOther", [_of(mask, _X, 2.0)]
    yield "aten.where.ScalarSelf", [_of(mask, 2.0, _X)]
    yield "aten.scatter.value", [_of(_X, 1, whole(3, 2, 2, 4), 0.5)]
    yield "aten.argsort.default", [_of(_X), _of(_X, 1, True)]
    yield "aten.one_hot.default", [_of(whole(4, 3, 2), 5)]
    yield "aten.roll.default", [_of(_X, [1, -2], [0, 2])]
    yield "aten.movedim.int", [_of(_X, 0, -1)]
    yield "aten.type_as.default", [_of(_X, whole(3, 2))]
    yield "aten._unsafe_view.default", [_of(_X, [6, -1])]
    yield "aten.cdist.default", [_of(_X, real(2, 5, 4)), _of(_X, real(2, 5, 4), 1.0)]
    yield "aten.conv2d.padding", [_of(_PLANES, real(6, 4, 3, 2), real(6), [1, 1], "same")]
    yield "aten._adaptive_avg_pool2d.default", [_of(_PLANES, [2, 3])]
    yield "aten._adaptive_avg_pool3d.default", [_of(_CUBES, [2, 3, 2])]
    for rank in (1, 2, 3):
        yield f"aten.max_pool{rank}d.default", [_of(_IMAGES[rank], [3] * rank, [2] * rank, [1] * rank)]


#: Arguments for operations whose rule is a row, where PyTorch has no samples that can be taken.
ROW_SAMPLES: dict[str, list[Sample]] = dict(_rows())

#: PyTorch's samples of these have equal elements, whose order is open, or lengths that the data decide.
ONLY_OURS = {"aten.argsort.default", "aten.one_hot.default"}
