"""Derivatives of operations that other rows could have done: those are recorded, and gone back over, in their place."""

from __future__ import annotations

from collections.abc import Callable

from ggml.autograd.derivative import Gradients, Step
from ggml.autograd.engine import Walk
from ggml.core import grad_mode
from ggml.tensors.history import of
from ggml.tensors.tensor import Tensor


def through(step: Step, g: Tensor, function: Callable[..., Tensor]) -> Gradients:
    """The gradients of ``function`` of the operation's inputs, which gives what the operation gave."""
    creates = grad_mode.is_grad_enabled()
    inputs = [step[place] for place in range(len(step))]
    wanted = [step.needs(place) for place in range(len(step))]
    given = [one._alias() if creates else one.detach() for one in inputs]
    for one, is_wanted in zip(given, wanted, strict=True):
        if is_wanted and not creates:
            one.requires_grad_()
    ends = [of(one) for one in given]
    with grad_mode.enable_grad():
        result = function(*given)
    way = Walk([end for end, is_wanted in zip(ends, wanted, strict=True) if is_wanted], creates, creates)
    way.add(of(result), g)
    way.run()
    return [way.found.get(id(end)) for end in ends]
