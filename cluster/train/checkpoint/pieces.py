"""What of a state lies on this rank: pieces of tensors, each with the whole that it is a piece of, and plain values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ggml
from cluster.api.errors import UsageError
from cluster.train.process_group import ProcessGroup
from cluster.train.sharded_parameter import ShardedParameter
from cluster.train.zero_redundancy_optimizer import ZeroRedundancyOptimizer
from ggml import nn, optim

SEPARATOR = "/"


@dataclass(frozen=True, slots=True)
class Whole:
    """A tensor as it would be on one rank alone."""

    shape: tuple[int, ...]
    dtype: str  # ggml's name

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Piece:
    """Elements [begin, end) of `whole`, flattened. `on_all`: every rank has the same piece, so that one writes it."""

    whole: Whole
    begin: int
    end: int
    on_all: bool
    tensor: ggml.Tensor  # begins with these elements; padding may follow


Local = dict[str, Any]  # by path: a Piece, or a plain value as files hold it


def local_of(state: Mapping[str, Any], group: ProcessGroup) -> Local:
    """Of everything in `state`: modules, optimisers, what else has a state dict, dicts, lists, tensors and numbers."""
    found: Local = {}
    for name, value in state.items():
        found.update(_parts(str(name), value, group))
    return found


def piece_of(tensor: ggml.Tensor, like: ggml.Tensor, group: ProcessGroup) -> Piece:
    """`like`: the parameter, beside which a tensor of its shape lies as it does."""
    dtype = tensor.dtype.name
    if isinstance(like, ShardedParameter) and like.group.ranks != group.ranks:
        raise UsageError(
            f"checkpoint: parameters are shared out over ranks {list(like.group.ranks)}, and {list(group.ranks)} were "
            "given; pass their process_group, on the ranks that are to write"
        )
    if isinstance(like, ShardedParameter) and tuple(tensor.shape) == tuple(like.shape):
        begin = min(group.rank * like.numel(), like.full_numel)
        end = min(begin + like.numel(), like.full_numel)
        return Piece(Whole(like.full_shape, dtype), begin, end, False, tensor.detach())
    whole = Whole(tuple(tensor.shape), dtype)
    return Piece(whole, 0, whole.numel, True, tensor.detach())


def state_path(name: str, number: int, key: str) -> str:
    """Of what an optimiser keeps for a parameter."""
    return SEPARATOR.join((name, "state", str(number), key))


def settings_path(name: str) -> str:
    return SEPARATOR.join((name, "param_groups"))


def _parts(name: str, value: Any, group: ProcessGroup) -> Iterator[tuple[str, Any]]:
    if isinstance(value, nn.Module):
        for key, one in value.state_dict(keep_vars=True).items():
            path = f"{name}{SEPARATOR}{key}"
            yield path, piece_of(one, one, group) if isinstance(one, ggml.Tensor) else one
    elif isinstance(value, optim.Optimizer):
        yield from _of_optimizer(name, value, group)
    elif isinstance(value, ggml.Tensor):
        yield name, piece_of(value, value, group)
    elif hasattr(value, "state_dict"):
        yield from _parts(name, value.state_dict(), group)
    else:
        yield name, value


def _of_optimizer(name: str, value: optim.Optimizer, group: ProcessGroup) -> Iterator[tuple[str, Any]]:
    is_shared = False
    if isinstance(value, ZeroRedundancyOptimizer):
        is_shared = True
        whole: dict[str, Any] = {"state": value.local_state(), "param_groups": value.numbered_groups()}
    else:
        whole = value.state_dict()
    yield settings_path(name), whole["param_groups"]
    params = params_of(value)
    for number, kept in whole["state"].items():
        for key, one in kept.items():
            path = state_path(name, number, key)
            if not isinstance(one, ggml.Tensor):
                yield path, one
                continue
            piece = piece_of(one, params[number], group)
            yield path, Piece(piece.whole, piece.begin, piece.end, piece.on_all and not is_shared, piece.tensor)


def params_of(optimizer: optim.Optimizer) -> list[ggml.Tensor]:
    """By their numbers in its state dict."""
    return [one for each in optimizer.param_groups for one in each["params"]]
