"""``custom_op``: a function of tensors with a name of its own, a derivative, and a place in exported programs."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

from ggml.autograd.function import Function
from ggml.core.errors import ArgumentError, DTypeError
from ggml.programs.rules import RULES, lowering
from ggml.tensors.tensor import Tensor

__all__ = ["CustomOp", "custom_op"]

_NAME = re.compile(r"([A-Za-z_]\w*)::([A-Za-z_]\w*)")


class CustomOp:
    """What ``custom_op`` makes of a function. Calling it calls the function."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self.function = name, function
        self._signature = inspect.signature(function)
        self._recorded: type[Function] | None = None
        functools.update_wrapper(self, function)

    def register_autograd(
        self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None
    ) -> None:
        """Give it a derivative of its own, instead of that of the operations that it calls.

        ``setup_context(ctx, inputs, output)`` keeps what ``backward(ctx, *grads)`` needs; that returns a gradient, or
        None, for each argument. ArgumentError where it has one already.
        """
        if self._recorded is not None:
            raise ArgumentError(self.name, "register_autograd", "was called before")

        def nothing(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            """There is nothing to keep."""

        members = {
            "forward": staticmethod(self.function),
            "setup_context": staticmethod(setup_context or nothing),
            "backward": staticmethod(backward),
        }
        self._recorded = type(self.name, (Function,), members)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._called(*args, **kwargs)
        for one in result if isinstance(result, (tuple, list)) else (result,):
            if not isinstance(one, Tensor):
                raise DTypeError(self.name, "a function that returns tensors", type(one).__name__)
        return result

    def _called(self, *args: Any, **kwargs: Any) -> Any:
        if self._recorded is None:
            return self.function(*args, **kwargs)
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        # Every argument has its place then, so that gradients are returned in that order.
        return self._recorded.apply(*bound.arguments.values())

    def __repr__(self) -> str:
        return f"<CustomOp({self.name})>"


def custom_op(
    name: str, fn: Callable[..., Any] | None = None, /, *, mutates_args: Iterable[str] = ()
) -> Callable[[Callable[..., Any]], CustomOp] | CustomOp:
    """Make a function of tensors the operation ``namespace::name``; as a decorator, or with ``fn``.

    It is written with operations of ``ggml``, and so runs on every device, within ``ggml.compile``, and has a
    derivative, unless ``register_autograd`` gives it another. Its shapes need no fake: the function itself is recorded
    on tensors without values. A model of PyTorch that calls an operation of this name, which ``torch.library`` defines
    with the same arguments, is lowered to it by ``ggml.export.lower``.

    ArgumentError for a name that is taken or none, for arguments that cannot be listed by position, and for
    ``mutates_args``: tensors are not changed in place here.
    """
    if fn is None:
        return lambda function: _entered(name, function, mutates_args)
    return _entered(name, fn, mutates_args)


def _entered(name: str, function: Callable[..., Any], mutates_args: Iterable[str]) -> CustomOp:
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    if found is None or found[1] in ("aten", "prims", "prim"):
        raise ArgumentError("custom_op", repr(name), "must be namespace::name, in a namespace that is not PyTorch's")
    if not callable(function):
        raise DTypeError("custom_op", "a function", type(function).__name__)
    if mutates_args not in ((), []):
        raise ArgumentError("custom_op", "mutates_args", "must be empty: return what is new instead")
    kinds = {one.kind for one in inspect.signature(function).parameters.values()}
    if kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}:
        raise ArgumentError("custom_op", name, "must take each argument by position: no *args, **kwargs or bare *")
    rule = f"{found[1]}.{found[2]}.default"
    if rule in RULES:
        raise ArgumentError("custom_op", name, "is there already")
    made = CustomOp(name, function)
    lowering(rule)(function)
    return made
