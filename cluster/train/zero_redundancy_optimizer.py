"""ZeroRedundancyOptimizer: every rank keeps the optimiser's state of its share of the parameters, and updates those."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import ggml
from cluster.api.errors import UsageError
from cluster.train import collectives
from cluster.train.arrays import flat_of, put
from cluster.train.default_group import the_group
from cluster.train.objects import broadcast_object
from cluster.train.subgroups import group_rank
from ggml import optim
from ggml.autograd import enable_grad

_WHAT = "ZeroRedundancyOptimizer"


class ZeroRedundancyOptimizer(optim.Optimizer):
    """As torch.distributed.optim's (ZeRO-1): wraps an optimiser class, such as ``AdamW``.

    Each parameter belongs to one rank, the largest ones dealt out first. A step updates the rank's own parameters and
    then gathers all of them, so that gradients must be equal on all ranks, as `DistributedDataParallel` makes them.
    Weights are those of the plain optimiser to the bit.

    Attributes:
        optim: the optimiser of this rank's parameters.
        state: its state, by parameter: those of other ranks are not in it.
    """

    def __init__(
        self, params: Any, optimizer_class: Callable[..., optim.Optimizer], process_group: Any = None, **defaults: Any
    ) -> None:
        """`params` as of any optimiser, groups too; `defaults` go to `optimizer_class`.

        `process_group`: None for all ranks. UsageError without a group.
        """
        group = self._group = the_group(_WHAT, process_group)
        listed = list(params) if not isinstance(params, ggml.Tensor) else params
        whole = optimizer_class(listed, **defaults)  # checks all that there is to check; state comes with a step only
        self.defaults, self.param_groups = whole.defaults, whole.param_groups
        self._owners = _dealt_out(self._params(), group.world_size)
        mine = [{**each, "params": self._of_rank(each["params"], group.rank)} for each in self.param_groups]
        self.optim = optimizer_class(mine, **defaults)
        self._whole_state: dict[int, dict[str, Any]] | None = None

    @property
    def state(self) -> dict[ggml.Tensor, dict[str, Any]]:  # type: ignore[override]
        return self.optim.state

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update this rank's parameters, and take those of the others from them. Every rank calls it."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._whole_state = None
        self._tell_settings()
        self.optim.step()
        self._gather()
        return loss

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """UsageError: who owns what is decided once."""
        raise UsageError(f"{_WHAT}: groups cannot be added later; give all of them when it is made")

    def consolidate_state_dict(self, to: int = 0) -> None:
        """Bring the state of all ranks to rank ``to`` (among all ranks), whose `state_dict` has all of it then.

        Every rank of the group calls it. UsageError for a rank that is not in it.
        """
        group = the_group(_WHAT, self._group)
        to = group_rank(group, "consolidate_state_dict: to", to)
        whole: dict[int, dict[str, Any]] = {}
        for rank in range(group.world_size):
            part = broadcast_object(group, self.local_state() if rank == group.rank else None, rank)
            if group.rank == to:
                whole.update(part)
        self._whole_state = dict(sorted(whole.items())) if group.rank == to else None

    def local_state(self) -> dict[int, dict[str, Any]]:
        """This rank's part of `state_dict`'s state, by the number of the parameter among all."""
        params = self._params()
        return {place: dict(self.state[one]) for place, one in enumerate(params) if one in self.state}

    def owned_numbers(self) -> set[int]:
        """The numbers of this rank's parameters among all."""
        return {place for place, one in enumerate(self._params()) if self._owners[id(one)] == self._group.rank}

    def state_dict(self) -> dict[str, Any]:
        """That of the plain optimiser. UsageError unless `consolidate_state_dict` has brought it to this rank."""
        if self._whole_state is None:
            raise UsageError(
                f"{_WHAT}: this rank does not have the state of all; call consolidate_state_dict(to=rank) on all ranks"
            )
        return {"state": self._whole_state, "param_groups": self.numbered_groups()}

    def numbered_groups(self) -> list[dict[str, Any]]:
        """The settings of all groups, with parameters by number: ``param_groups`` of `state_dict`."""
        places = {id(param): place for place, param in enumerate(self._params())}
        return [{**each, "params": [places[id(one)] for one in each["params"]]} for each in self.param_groups]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take this rank's part of a whole state, as `state_dict` or a plain optimiser gives it. StateDictError."""
        params = self._params()
        before = self.param_groups, self.optim.state
        mine = {id(one) for one in self._of_rank(params, self._group.rank)}
        whole = optim.Optimizer.__new__(optim.Optimizer)
        whole.defaults, whole.state = self.defaults, {}
        whole.param_groups = [dict(each) for each in before[0]]
        whole.load_state_dict(state_dict)
        for each, new in zip(self.param_groups, whole.param_groups, strict=True):
            each.update(new)
        self._tell_settings()
        self.optim.state = {one: kept for one, kept in whole.state.items() if id(one) in mine}
        self._whole_state = None

    def _of_rank(self, params: list[ggml.Tensor], rank: int) -> list[ggml.Tensor]:
        return [one for one in params if self._owners[id(one)] == rank]

    def _tell_settings(self) -> None:
        """Schedules change the groups that everybody sees: those of the inner optimiser follow."""
        for seen, inner in zip(self.param_groups, self.optim.param_groups, strict=True):
            inner.update({key: value for key, value in seen.items() if key != "params"})

    def _gather(self) -> None:
        group = the_group(_WHAT, self._group)
        if group.world_size == 1:
            return
        trained = [one for one in self._params() if one.requires_grad]
        shares = [self._of_rank(trained, rank) for rank in range(group.world_size)]
        parts = [np.zeros(sum(one.numel() for one in share), np.float32) for share in shares]
        if shares[group.rank]:
            np.concatenate([flat_of(one) for one in shares[group.rank]], out=parts[group.rank])
        collectives.all_gather_parts(group, parts)
        for rank, (share, part) in enumerate(zip(shares, parts, strict=True)):
            if rank != group.rank:
                _spread(share, part)


def _dealt_out(params: list[ggml.Tensor], world_size: int) -> dict[int, int]:
    """The rank that each parameter belongs to, by id: the largest first, each to whoever has least so far."""
    loads, owners = [0] * world_size, {}
    for one in sorted(params, key=lambda param: -param.numel()):
        rank = loads.index(min(loads))
        owners[id(one)] = rank
        loads[rank] += one.numel()
    return owners


def _spread(params: list[ggml.Tensor], flat: collectives.Array) -> None:
    begin = 0
    for param in params:
        end = begin + param.numel()
        put(param, flat[begin:end])
        begin = end
