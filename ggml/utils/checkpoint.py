"""Memory for time: what a function computed on the way is let go of, and computed again when gradients come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ggml.autograd.engine import Walk
from ggml.core import autocast, grad_mode, tracing
from ggml.core.node import Node
from ggml.ops.create.random import default_generator
from ggml.tensors import history
from ggml.tensors.tensor import Tensor

__all__ = ["checkpoint", "recomputed"]


@contextmanager
def _repeated(draws: list[Node]) -> Iterator[None]:
    """In a recording, which draws at each call, the random numbers of the block are those of these placeholders."""
    recorded = tracing.changes()
    if recorded is None:
        yield
        return
    before, recorded.repeats = recorded.repeats, list(draws)
    try:
        yield
    finally:
        recorded.repeats = before


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, **kwargs: Any) -> Any:
    """``function(*args, **kwargs)``, of which only the arguments are kept for ``backward``.

    Random numbers and precision are those of the first time. Parameters that the function holds get their gradients,
    too. ``use_reentrant`` has no effect. The function returns a tensor or a tuple of tensors.
    """
    return recomputed(function, args, kwargs, lambda gradients: None)


def recomputed(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    done: Callable[[Sequence[Tensor | None]], None],
) -> Any:
    """As ``checkpoint``; ``done`` is called in ``backward``, when the function's own way back has been planned.

    It is given the gradients of the tensors among ``args``, not computed yet: whoever lends the function something
    for that long computes them there, and takes it back.
    """
    recorded = tracing.changes()
    before, precision = default_generator.snapshot(), autocast.state()
    first = len(recorded.draws) if recorded else 0
    with grad_mode.no_grad():
        output = function(*args, **kwargs)
    draws = [node for node, _ in recorded.draws[first:]] if recorded else []
    if not grad_mode.is_grad_enabled():
        return output
    places = [place for place, one in enumerate(args) if isinstance(one, Tensor)]
    tensors = [args[place] for place in places]
    results = list(output) if isinstance(output, (tuple, list)) else [output]

    def backward(gradients: dict[int, Tensor]) -> Sequence[Tensor | None]:
        after = default_generator.snapshot()
        default_generator.restore(before)
        given, ends = list(args), []
        with grad_mode.enable_grad(), autocast.within(precision), _repeated(draws):
            for place in places:
                given[place] = args[place].detach()
                if args[place].requires_grad:
                    given[place].requires_grad_()
                ends.append(history.of(given[place]))
            again = function(*given, **kwargs)
        default_generator.restore(after)
        several = list(again) if isinstance(again, (tuple, list)) else [again]
        # Leaves accumulate: those of the function as always, the stand-ins of the arguments for this one time.
        way = Walk(None, False, grad_mode.is_grad_enabled())
        for place, gradient in gradients.items():
            if several[place].requires_grad:
                way.add(history.of(several[place]), gradient)
        way.run()
        found = [end.grad for end in ends]
        done(found)
        return found

    history.record("checkpoint", tensors, (), [one for one in results if isinstance(one, Tensor)], backward)
    return output
