"""``ggml.compile_step``: one batch of training as one native call."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from ggml.core import autocast, tracing
from ggml.core.errors import ArgumentError, DTypeError, TracingError
from ggml.core.forking import renew_after_fork
from ggml.core.memory import outside, own
from ggml.core.node import leaf
from ggml.nn.module.module import Module
from ggml.optim.optimizer import Optimizer, State
from ggml.tensors.compiled import key_of
from ggml.tensors.tensor import Tensor, wrap
from ggml.training.places import handles_of, params_of, point, signature
from ggml.training.recording import StepRecording, record
from ggml.training.reducing import Reduction, reducer_of

# Each keeps the memory of all that lies between loss and gradients. A step of a large model takes much longer than
# recording it, so that others are let go of before there are more than so many bytes and one recording.
_MAX_RECORDINGS, _MAX_BYTES = 8, 256 << 20


class CompiledStep:
    """A step of training that is recorded once for each signature of its arguments; see ``compile_step``.

    Calls take turns. Nobody else may use the model while one of them records.
    """

    def __init__(
        self, model: Module, loss_fn: Callable[..., Any], optimizer: Optimizer, max_norm: float | None
    ) -> None:
        self.model, self.loss_fn, self.optimizer, self.max_norm = model, loss_fn, optimizer, max_norm
        # A loss may have parameters and modes, too.
        self._roots = [model, loss_fn] if isinstance(loss_fn, Module) else [model]
        self._recordings: OrderedDict[Hashable, StepRecording] = OrderedDict()
        self._epoch = tracing.epoch_of_contents()
        renew_after_fork(self)

    def renew_lock(self) -> None:
        self._lock = threading.RLock()

    def __reduce__(self) -> Any:
        """What it was made of: what was recorded belongs to this process."""
        return compile_step, (self.model, self.loss_fn, self.optimizer), {"max_norm": self.max_norm}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.max_norm = state["max_norm"]

    def __call__(self, *args: Any) -> Tensor:
        """The loss before the update, without a history. ``grad`` of every parameter is None afterwards."""
        tracing.refuse("compile_step")
        with self._lock, outside():  # parameters outlive any arena
            if self._epoch != tracing.epoch_of_contents():
                self.reset()
            arguments: list[Tensor] = []
            own_key = key_of(args, arguments)
            modules = [one for root in self._roots for one in root.modules()]
            handles = handles_of(modules, self.optimizer)
            key = own_key, signature(modules, self.optimizer, handles), autocast.state()
            reducer = reducer_of(modules)
            reduction = None if reducer is None else reducer.begin_reduction()
            try:
                found = self._recordings.get(key) or self._record(key, handles, args, arguments, reduction)
                loss = self._run(found, arguments, reduction)
                if loss is None:  # the optimiser updates in another way from this step on
                    found = self._record(key, handles, args, arguments, reduction)
                    loss = self._run(found, arguments, reduction)
                    assert loss is not None
            except BaseException:
                if reduction is not None:
                    reduction.abandon()
                raise
            if not found.is_lasting:
                self._recordings.pop(key, None)
        own(loss.buffer())
        return loss

    @property
    def num_recordings(self) -> int:
        return len(self._recordings)

    def reset(self) -> None:
        """Forget all recordings, and free their memory."""
        with self._lock:
            self._recordings.clear()
            self._epoch = tracing.epoch_of_contents()

    def _loss(self, *args: Any) -> Tensor:
        *inputs, target = args
        loss: Tensor = self.loss_fn(self.model(*inputs), target)
        return loss

    def _record(
        self,
        key: Hashable,
        handles: list[Tensor],
        args: tuple[Any, ...],
        arguments: list[Tensor],
        reduction: Reduction | None,
    ) -> StepRecording:
        if not args:
            raise ArgumentError("compile_step", "the step", "needs the arguments of the model, and a target")
        self._recordings.pop(key, None)
        while self._recordings and sum(one.num_bytes for one in self._recordings.values()) > _MAX_BYTES:
            self._recordings.popitem(last=False)
        try:
            found = record(self._loss, self.optimizer, self.max_norm, handles, args, arguments, reduction)
        except TracingError as error:
            if error.op == "compile_step":
                raise
            raise TracingError(
                "compile_step",
                f"{type(self.model).__name__}, the loss or {type(self.optimizer).__name__} asks for a value while the "
                f"step is recorded, when there is none ({error.op}); train with the plain loop of zero_grad, backward "
                "and step, which may read values",
            ) from error
        self._recordings[key] = found
        while len(self._recordings) > _MAX_RECORDINGS:
            self._recordings.popitem(last=False)
        return found

    def _run(self, found: StepRecording, arguments: list[Tensor], reduction: Reduction | None) -> Tensor | None:
        """The loss, when everything has its new value; None, and nothing done, if another graph is needed."""
        optimizer = self.optimizer
        groups, states = optimizer.param_groups, optimizer.state
        kept = [states.get(param) for param, _ in found.updated]
        before: list[State | None] = [None if state is None else dict(state) for state in kept]
        try:
            rates: list[float] = []
            counts = []
            for param, group in found.updated:
                numbers = optimizer.rates(states.setdefault(param, {}), groups[group])
                rates += numbers
                counts.append(len(numbers))
            if tuple(counts) != found.num_rates:
                self._restore(found, before)
                return None
            buffer, nodes = found.run(arguments, optimizer, rates, reduction)
        except BaseException:
            self._restore(found, before)
            raise
        for target, node in zip(found.targets, nodes, strict=True):
            if target.name is not None:
                states[target.handle][target.name] = wrap(node)
            elif point(target.handle, node, "compile_step"):
                self._epoch = tracing.epoch_of_contents()  # nothing that was recorded here holds the old value
        for param in params_of(optimizer):
            param.grad = None
        shape, dtype = found.loss
        return wrap(leaf(shape, dtype, found.device, buffer))

    def _restore(self, found: StepRecording, before: list[State | None]) -> None:
        """The counts of before a step that did not happen."""
        for (param, _), state in zip(found.updated, before, strict=True):
            if state is None:
                self.optimizer.state.pop(param, None)
            else:
                self.optimizer.state[param] = state


def compile_step(
    model: Module, loss_fn: Callable[..., Any], optimizer: Optimizer, *, max_norm: float | None = None
) -> CompiledStep:
    """A function ``step(*inputs, target)`` that trains with one batch and returns the loss of before the update.

    It does what ``zero_grad``, ``loss_fn(model(*inputs), target)``, ``backward``, with ``max_norm`` also
    ``clip_grad_norm_``, and ``optimizer.step`` do, as one native graph. That graph is recorded once for each signature:
    shapes, dtypes and other arguments, modes of the modules, which parameters require gradients, and settings of the
    optimiser save ``lr``, which schedules may change at no cost. Random numbers are drawn anew at each call, in the
    order of the loop, and buffers of modules that the model changes in place are changed. What the model prints or
    counts in Python happens while a signature is recorded only.

    TracingError if the model, the loss or the optimiser reads a value, or the optimiser has a ``step`` of its own: the
    plain loop trains these.
    """
    if not isinstance(model, Module):
        raise DTypeError("compile_step", "a ggml.nn.Module as model", type(model).__name__)
    if not callable(loss_fn):
        raise ArgumentError("compile_step", "loss_fn", "is not callable")
    if not isinstance(optimizer, Optimizer):
        raise DTypeError("compile_step", "an optimizer of ggml.optim", type(optimizer).__name__)
    if type(optimizer).step is not Optimizer.step:
        raise TracingError(
            "compile_step", f"{type(optimizer).__name__} has a step of its own; train with the plain loop instead"
        )
    if max_norm is not None and not (isinstance(max_norm, (int, float)) and 0 < max_norm < math.inf):
        raise ArgumentError("compile_step", "max_norm", f"must be a positive number, or None: {max_norm!r}")
    return CompiledStep(model, loss_fn, optimizer, None if max_norm is None else float(max_norm))
