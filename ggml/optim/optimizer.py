"""What all optimisers share: groups of parameters with their settings, state, and a step that is one graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ggml.core import grad_mode
from ggml.core.dtypes import float32
from ggml.core.errors import ArgumentError, DTypeError, GradientError, StateDictError
from ggml.ops.create.factories import zeros_like
from ggml.tensors import eval as evaluation
from ggml.tensors.tensor import Tensor, filled

Group = dict[str, Any]

#: What a method keeps of one parameter, by name.
State = dict[str, Any]

_WITHOUT_EFFECT = ("foreach", "fused", "capturable", "differentiable")


def checked_range(op: str, **values: tuple[float, float]) -> None:
    """Raise ArgumentError for a value below 0, or not below its limit."""
    for name, (value, limit) in values.items():
        if not 0 <= value < limit:
            raise ArgumentError(op, name, f"must lie in [0, {limit}): {value}")


class Optimizer:
    """Changes parameters by their gradients. A subclass has ``update``, and ``rates`` if these are more than ``lr``.

    ``param_groups`` are dicts with ``params`` and the settings of the group, which may be changed between steps.
    ``state`` holds, for each parameter that was updated, what the method keeps of it.
    """

    def __init__(self, params: Any, defaults: Group) -> None:
        for name in _WITHOUT_EFFECT:
            defaults.pop(name, None)
        self.defaults = defaults
        self.state: dict[Tensor, State] = {}
        self.param_groups: list[Group] = []
        if isinstance(params, Tensor):
            raise DTypeError(type(self).__name__, "an iterable of parameters", "a tensor")
        listed = list(params)
        if not listed:
            raise ArgumentError(type(self).__name__, "params", "has no parameter")
        groups = listed if isinstance(listed[0], dict) else [{"params": listed}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: Group) -> None:
        """Update these parameters, too; what the group does not say is as for the others."""
        name = type(self).__name__
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise DTypeError(name, "a dict with params", type(param_group).__name__)
        given = param_group["params"]
        params = [given] if isinstance(given, Tensor) else list(given)
        params = [one[1] if isinstance(one, tuple) else one for one in params]  # of named_parameters()
        known = {id(one) for group in self.param_groups for one in group["params"]}
        for param in params:
            if not isinstance(param, Tensor):
                raise DTypeError(name, "tensors as params", type(param).__name__)
            if not param.is_leaf:
                raise GradientError(name, f"a tensor {tuple(param.shape)} is no leaf: an operation made it")
            if id(param) in known:
                raise ArgumentError(name, "params", f"has a parameter {tuple(param.shape)} twice")
            known.add(id(param))
        unknown = [key for key in param_group if key not in self.defaults and key not in ("params", "initial_lr")]
        if unknown:
            raise ArgumentError(name, "params", f"has settings that it does not know: {', '.join(sorted(unknown))}")
        self.param_groups.append({**self.defaults, **param_group, "params": params})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Let go of the gradients, or fill them with zeros."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    param.grad = None if set_to_none else zeros_like(param.grad)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. ``closure`` computes the loss first, which is returned.

        All new values and states are computed in one graph. Settings and counts enter it as inputs, so that the graph
        is the same for each step.
        """
        loss = None
        if closure is not None:
            with grad_mode.enable_grad():
                loss = closure()
        with grad_mode.no_grad():
            numbers = Numbers()
            touched: list[Any] = []
            for param, group in self.with_gradients():
                state = self.state.setdefault(param, {})
                rates = [numbers(rate, param) for rate in self.rates(state, group)]
                param._assign(self.updated(param, state, group, rates), f"{type(self).__name__}.step")
                touched += [param, *[value for value in state.values() if isinstance(value, Tensor)]]
            evaluation.eval(touched)
        return loss

    def with_gradients(self) -> Iterator[tuple[Tensor, Group]]:
        """The parameters that the next step updates, in order, each with the settings of its group."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    yield param, group

    def updated(self, param: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        """The new value of a parameter that has a gradient."""
        assert param.grad is not None
        gradient = param.grad.detach()
        return self.update(param.detach(), -gradient if group.get("maximize") else gradient, state, group, rates)

    def rates(self, state: State, group: Group) -> tuple[float, ...]:
        """The numbers of the next step that differ between steps, which ``update`` gets as tensors without axes.

        Counts in ``state`` are advanced here. A method whose ``update`` changes its form after some steps tells so by
        giving another number of rates.
        """
        return (group["lr"],)

    def update(self, param: Tensor, gradient: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        """The new value of a parameter. ``state`` is given new tensors; nothing else of it is read, nor is ``lr``."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Settings and state, with parameters numbered in their order, as PyTorch's. Tensors are those in use."""
        places = {id(param): place for place, param in enumerate(self._params())}
        groups = []
        first = 0
        for group in self.param_groups:
            numbers = list(range(first, first + len(group["params"])))
            first += len(numbers)
            groups.append({**{key: value for key, value in group.items() if key != "params"}, "params": numbers})
        return {"state": {places[id(one)]: dict(kept) for one, kept in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over settings and state; StateDictError if the groups have other numbers of parameters."""
        name, groups = type(self).__name__, state_dict["param_groups"]
        have = [len(group["params"]) for group in self.param_groups]
        given = [len(group["params"]) for group in groups]
        if have != given:
            raise StateDictError(name, [], [], [f"groups of {given} parameters; expected {have}"], True)
        params = self._params()
        order = [number for group in groups for number in group["params"]]
        state = {params[order.index(number)]: dict(kept) for number, kept in state_dict["state"].items()}
        for param, kept in state.items():
            for key, value in kept.items():
                if key == "step":
                    kept[key] = int(value.item() if hasattr(value, "item") else value)
                elif isinstance(value, Tensor) and value._node.shape != param._node.shape:
                    line = f"{key} of shape {tuple(value.shape)} for a parameter {tuple(param.shape)}"
                    raise StateDictError(name, [], [], [line], True)
                elif isinstance(value, Tensor):
                    kept[key] = value.to_device(param.device)  # it may come from a file
        for group, new in zip(self.param_groups, groups, strict=True):
            group.update({key: value for key, value in new.items() if key != "params"})
        self.state = state

    def _params(self) -> list[Tensor]:
        return [param for group in self.param_groups for param in group["params"]]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for place, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {place}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


class Numbers:
    """Numbers of one step as tensors without axes: a number in an operation would make each step a graph of its own."""

    def __init__(self) -> None:
        self._made: dict[Any, Tensor] = {}

    def __call__(self, value: float, like: Tensor) -> Tensor:
        key = value, like.device
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = filled((), value, float32, like.device)
        return found


def kept(state: State, name: str, like: Tensor) -> Tensor:
    """A tensor of the state, zeros at first."""
    found = state.get(name)
    return zeros_like(like) if found is None else found


def counted(state: State) -> int:
    """The number of this step, from 1 on."""
    state["step"] = state.get("step", 0) + 1
    return int(state["step"])


def decayed(param: Tensor, gradient: Tensor, group: Group) -> Tensor:
    """The gradient with that of the weight decay's penalty."""
    return gradient + param * group["weight_decay"] if group["weight_decay"] else gradient


__all__ = ["Group", "Numbers", "Optimizer", "State", "checked_range", "counted", "decayed", "kept"]
