"""Derivatives of functions as functions, with the names of ``torch.func``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ggml.autograd import calls
from ggml.core import grad_mode
from ggml.core.errors import ArgumentError, DTypeError, GradientError, StateDictError
from ggml.nn.module.module import Module
from ggml.ops.create.factories import zeros_like
from ggml.ops.shape.concatenation import stack
from ggml.tensors.tensor import Tensor

__all__ = ["functional_call", "grad", "grad_and_value", "hessian", "jacrev", "value_and_grad", "vjp"]


def _leaves(op: str, args: tuple[Any, ...], places: tuple[int, ...]) -> tuple[list[Any], list[Tensor]]:
    """The arguments with fresh handles at these places, through which gradients come back."""
    given, wanted = list(args), []
    for place in places:
        if not -len(args) <= place < len(args):
            raise ArgumentError(op, "argnums", f"{place} is outside of {len(args)} arguments")
        if not isinstance(args[place], Tensor):
            raise DTypeError(op, f"a tensor as argument {place}", type(args[place]).__name__)
        # An alias keeps the way to what the argument was made of, so that derivatives can be nested.
        own = args[place]._alias() if args[place].requires_grad else args[place].detach().requires_grad_()
        given[place] = own
        wanted.append(own)
    return given, wanted


def grad_and_value(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the gradient of ``func`` and its value. ``func`` returns one element.

    ``argnums`` says for which arguments; a tuple of them gives a tuple of gradients. With ``has_aux`` the function
    returns a pair, of which only the first part is differentiated, and the value is that pair.
    """
    places = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def derived(*args: Any, **kwargs: Any) -> Any:
        creates = grad_mode.is_grad_enabled() and any(isinstance(one, Tensor) and one.requires_grad for one in args)
        with grad_mode.enable_grad():
            given, wanted = _leaves("grad", args, places)
            result = func(*given, **kwargs)
            value = result[0] if has_aux else result
            if not isinstance(value, Tensor) or value.numel() != 1:
                raise GradientError("grad", "the function has to return a tensor of one element")
            found = _found(value, None, wanted, creates)
        gradients = tuple(found) if isinstance(argnums, tuple) else found[0]
        own = value if creates else value.detach()
        return gradients, (own, result[1]) if has_aux else own

    return derived


def value_and_grad(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """``grad_and_value`` with the value first, as other libraries have it."""
    both = grad_and_value(func, argnums, has_aux)

    def derived(*args: Any, **kwargs: Any) -> Any:
        gradients, value = both(*args, **kwargs)
        return value, gradients

    return derived


def grad(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of ``func``; with ``has_aux`` and the second part of what it returned."""
    both = grad_and_value(func, argnums, has_aux)

    def derived(*args: Any, **kwargs: Any) -> Any:
        gradients, value = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return derived


def vjp(func: Callable[..., Any], *primals: Tensor) -> tuple[Any, Callable[..., Any]]:
    """What ``func`` returns for these tensors, and a function from its gradient to theirs, for any number of calls."""
    with grad_mode.enable_grad():
        given, wanted = _leaves("vjp", primals, tuple(range(len(primals))))
        value = func(*given)
    if not isinstance(value, Tensor):
        raise GradientError("vjp", "the function has to return a tensor")

    def back(cotangent: Tensor) -> Any:
        return tuple(_found(value, cotangent, wanted, False, keeps=True))

    return value.detach(), back


def jacrev(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """A function that returns the derivatives of each element of what ``func`` returns, a tensor, for each element of
    an argument: [*shape of the result, *shape of the argument]. A tuple of ``argnums`` gives a tuple of them.

    There is a way back for each element of the result.
    """
    places = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def derived(*args: Any) -> Any:
        creates = grad_mode.is_grad_enabled() and any(isinstance(one, Tensor) and one.requires_grad for one in args)
        with grad_mode.enable_grad():
            given, wanted = _leaves("jacrev", args, places)
            value = func(*given)
            if not isinstance(value, Tensor):
                raise GradientError("jacrev", "the function has to return a tensor")
            rows = [_found(one, None, wanted, creates, keeps=True) for one in value.reshape(-1).unbind()]
            found = [
                stack(list(column)).reshape((*value.shape, *one.shape))
                for column, one in zip(zip(*rows, strict=True), wanted, strict=True)
            ]
        return tuple(found) if isinstance(argnums, tuple) else found[0]

    return derived


def hessian(func: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that returns the second derivatives of ``func`` for one argument."""
    return jacrev(jacrev(func, argnums), argnums)


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """What the module gives with these tensors in the places of its parameters and buffers, by name.

    Gradients come back to the tensors; what the forward changes in place is forgotten. One tensor under two names has
    the same place under both. StateDictError for names that the module does not have and, with ``strict``, for those
    that are not given.
    """
    dicts = parameter_and_buffer_dicts
    given = dict(dicts) if isinstance(dicts, Mapping) else {name: one for each in dicts for name, one in each.items()}
    handles = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    unknown = [name for name in given if name not in handles]
    missing = [name for name in handles if name not in given] if strict else []
    if unknown or missing:
        raise StateDictError(type(module).__name__, missing, unknown, [], True)
    places = [(handles[name], one) for name, one in given.items()]
    before = [(one, one._node, one._history) for one, _ in places]
    called = args if isinstance(args, tuple) else () if args is None else (args,)
    try:
        for one, value in places:
            one._node, one._history = value._node, value._history
        return module(*called, **(kwargs or {}))
    finally:
        for one, node, history in reversed(before):
            one._node, one._history = node, history


def _found(
    value: Tensor, begin: Tensor | None, wanted: list[Tensor], creates: bool, keeps: bool = False
) -> list[Tensor | None]:
    """The gradients of what is wanted, zeros where nothing comes back."""
    if not value.requires_grad:
        return [zeros_like(one.detach()) for one in wanted]
    keeps = keeps or creates
    return list(calls.grad(value, wanted, [begin], keeps, creates, materialize_grads=True))
