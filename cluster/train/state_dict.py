"""Whole state dicts of modules whose parameters are shared out, as torch.distributed.checkpoint.state_dict has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ggml
from cluster.train.sharded_parameter import ShardedParameter, gathered
from ggml import nn
from ggml.core.errors import StateDictError


def get_model_state_dict(model: nn.Module) -> dict[str, Any]:
    """The state dict that the module would have if nothing were shared out, on every rank. Every rank calls it."""
    found = model.state_dict(keep_vars=True)
    for name, one in found.items():
        if isinstance(one, ShardedParameter):
            found[name] = gathered(one.group, [one])[0]
        elif isinstance(one, ggml.Tensor):
            found[name] = one.detach()
    return found


def set_model_state_dict(model: nn.Module, state_dict: Mapping[str, Any]) -> None:
    """Take whole values, as `get_model_state_dict` gives them; each rank keeps its part. StateDictError."""
    given: dict[str, Any] = dict(state_dict)
    for name, one in model.state_dict(keep_vars=True).items():
        if isinstance(one, ShardedParameter) and name in given:
            shape = tuple(given[name].shape)
            if shape != one.full_shape:
                line = f"{name}: {shape} in the state dict, {one.full_shape} in the module"
                raise StateDictError(type(model).__name__, [], [], [line], True)
            given[name] = ShardedParameter.of(nn.Parameter(given[name], False), one.group).detach()
    model.load_state_dict(given)
