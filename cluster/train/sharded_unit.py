"""fully_shard: parameters, gradients and states of the optimiser shared out; whole only while their module computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import ggml
from cluster.api.errors import UsageError
from cluster.train import collectives
from cluster.train.arrays import flat_of
from cluster.train.default_group import the_group
from cluster.train.process_group import ProcessGroup
from cluster.train.sharded_parameter import ShardedParameter, dealt_out, gathered
from cluster.train.tensor_collectives import broadcast
from ggml import nn
from ggml.autograd import queue_callback
from ggml.core import tracing
from ggml.core.grad_mode import is_grad_enabled
from ggml.tensors.history import History
from ggml.utils.checkpoint import recomputed

_UNIT = "_fully_sharded"
_running = 0  # units whose forward is under way: one that begins while there is none is the root


def fully_shard(
    module: nn.Module, *, reshard_after_forward: bool | None = None, process_group: Any = None
) -> nn.Module:
    """Share out the parameters of ``module`` over all ranks, as FSDP2's; returns it. Make the optimiser afterwards.

    Parameters and buffers become those of rank 0, and each parameter is then this rank's flat part of it
    (`ShardedParameter`). Call it for layers first and for the whole last: each call takes what is not shared out yet,
    and gathers it as one unit before the forward of its module. Gradients are averaged over all ranks and each keeps
    its part.

    ``reshard_after_forward``: whether the whole values are let go of after forward, and gathered again in backward,
    where the forward of the module is computed a second time, as `ggml.utils.checkpoint` does. None: in all units
    but the outermost. ``process_group``: the ranks that share it, None for all. UsageError without a group, or for
    parameters that lie in another unit, too.
    """
    group = the_group("fully_shard", process_group)
    if _UNIT in module.__dict__:
        raise UsageError(f"fully_shard: {type(module).__name__} is sharded already; call it once for each module")
    inner = {id(one) for child in module.modules() if _UNIT in child.__dict__ for one in child.__dict__[_UNIT].shards}
    found: dict[int, ShardedParameter] = {}
    places = []
    for owner in module.modules():
        for name, one in owner._parameters.items():
            if one is None or id(one) in inner or not one.dtype.is_floating_point:
                continue
            if isinstance(one, ShardedParameter):
                raise UsageError(f"fully_shard: {name} belongs to another unit, too; shard the module that has both")
            if id(one) not in found:
                broadcast(one, group.ranks[0], group)
                found[id(one)] = ShardedParameter.of(one, group)
            places.append((owner, name, found[id(one)]))
    for buffer in module.buffers():
        broadcast(buffer, group.ranks[0], group)
    for owner, name, shard in places:
        setattr(owner, name, shard)
    unit = _Unit(module.forward, list(found.values()), reshard_after_forward, group)
    object.__setattr__(module, _UNIT, unit)
    object.__setattr__(module, "forward", unit.forward)
    return module


class _Unit:
    """What is gathered together. Stands in for the forward of its module."""

    def __init__(
        self, inner: Callable[..., Any], shards: list[ShardedParameter], reshards: bool | None, group: ProcessGroup
    ) -> None:
        self.shards = shards
        self._inner, self._group = inner, group
        self._reshards = reshards

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if tracing.is_active():
            raise UsageError("fully_shard: what is recorded cannot gather parameters; call the module as it is")
        if not self.shards:
            return self._called(args, kwargs)
        reshards = self._reshards if self._reshards is not None else _running > 0
        if not is_grad_enabled():
            with _whole(self.shards, self._group):
                return _computed(self._called(args, kwargs))
        if not reshards:
            with _whole(self.shards, self._group) as whole:
                whole.reduce_after_backward()
                return self._called(args, kwargs)
        borrowed: list[_Whole] = []

        def function(*args: Any, **kwargs: Any) -> Any:
            with _whole(self.shards, self._group) as whole:
                if not is_grad_enabled():
                    return _computed(self._called(args, kwargs))
                borrowed.append(whole)
                return self._called(args, kwargs)

        def done(gradients: Sequence[ggml.Tensor | None]) -> None:
            # Here and now: what is not computed yet would hold the whole values of all units until the end.
            ggml.eval(*[one for one in gradients if one is not None])
            borrowed.pop().reduce()

        return recomputed(function, args, kwargs, done)

    def _called(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        global _running
        _running += 1
        try:
            return self._inner(*args, **kwargs)
        finally:
            _running -= 1


class _Whole:
    """The whole values of some parameters for one forward, and the gradients that come back to them.

    They are leaves of their own on the tape, so that gradients of this size never meet those of the parts.
    """

    def __init__(self, shards: list[ShardedParameter], group: ProcessGroup) -> None:
        self._shards, self._group = shards, group
        self.histories = [History(one.requires_grad) for one in shards]
        self._is_due = False

    def reduce_after_backward(self) -> None:
        """When the graph of that backward has been computed."""

        def grown(gradient: ggml.Tensor) -> None:
            if not self._is_due:
                self._is_due = True
                queue_callback(self.reduce)

        for history in self.histories:
            history.accumulated = {0: grown}

    def reduce(self) -> None:
        """Average the gradients over all ranks, and add this rank's parts to those of the parameters."""
        self._is_due = False
        group = the_group("fully_shard", self._group)
        grads = [history.grad for history in self.histories]
        ggml.eval(*[one for one in grads if one is not None])
        has = np.array([one is not None for one in grads], np.float32)
        if group.world_size > 1:
            collectives.all_reduce(group, has)
        wholes = [None if one is None else flat_of(one) for one in grads]
        for history in self.histories:
            history.grad = None
        part = dealt_out(group, wholes, self._shards)
        if group.world_size > 1:
            part = collectives.reduce_scatter(group, part) / np.float32(group.world_size)
        begin = 0
        for shard, num_ranks in zip(self._shards, has, strict=True):
            end = begin + shard.numel()
            if num_ranks:
                grown = ggml.from_numpy(part[begin:end].copy()).to(shard.dtype).to(shard.device)
                shard.grad = grown if shard.grad is None else shard.grad + grown
            begin = end


@contextmanager
def _whole(shards: list[ShardedParameter], group: ProcessGroup) -> Iterator[_Whole]:
    """The parameters mean their whole values within the block. What the tape has noted by then keeps those."""
    found = _Whole(shards, group)
    values = gathered(the_group("fully_shard", group), shards)
    before = [(one._node, one._history) for one in shards]
    try:
        for one, value, history in zip(shards, values, found.histories, strict=True):
            one._node, one._history = value._node, history
        yield found
    finally:
        for one, (node, kept) in zip(shards, before, strict=True):
            one._node, one._history = node, kept


def _computed(output: Any) -> Any:
    """The same, computed: what is lazy holds all that it is made of."""
    several = output.values() if isinstance(output, dict) else output if isinstance(output, (list, tuple)) else [output]
    ggml.eval(*[one for one in several if isinstance(one, ggml.Tensor)])
    return output
