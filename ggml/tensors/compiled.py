"""``ggml.compile``: a function recorded once for each shape of its arguments, then one native call."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from ggml.core import autocast, tracing
from ggml.core.devices import Device
from ggml.core.dtypes import float32
from ggml.core.errors import ArgumentError, DeviceMismatchError, TracingError
from ggml.core.forking import renew_after_fork
from ggml.core.memory import outside
from ggml.core.node import Node, empty_leaf, leaf, placeholder
from ggml.graph import executor
from ggml.graph.executable import Executable, compile_plan
from ggml.graph.plan import Plan, plan
from ggml.tensors.pairs import Pairs, marked, over, plain
from ggml.tensors.tensor import Tensor, filled, wrap
from worker_native import Buffer

_MAX_PROGRAMS = 64

_SEQUENCES = (list, tuple)


@dataclass(frozen=True, slots=True)
class Recording:
    """One shape of a call. ``leaves`` are argument places, or buffers that the function holds."""

    program: Executable
    leaves: list[int | Buffer]
    specs: list[tuple[Any, Any]]  # shape and dtype of each result
    build: Callable[[list[Tensor]], Any]  # the results in the form that the function returned
    device: Device

    def run(self, arguments: list[Tensor]) -> Any:
        buffers = [arguments[one].buffer() if isinstance(one, int) else one for one in self.leaves]
        results = self.program.run(buffers, self.device)
        device = self.device
        specs = zip(results, self.specs, strict=True)
        return self.build([wrap(leaf(shape, dtype, device, buffer)) for buffer, (shape, dtype) in specs])


class Compiled:
    """A function of tensors. Everything that is not a tensor is part of the key, so it must be hashable.

    The function runs once for each new shape, dtype, device or other argument: what it prints or counts happens
    then only. Tensors that it holds are read where they lie; giving one another value in place records anew.
    Thread-safe.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._recordings: OrderedDict[Hashable, Recording] = OrderedDict()
        renew_after_fork(self)
        self._epoch = tracing.epoch()
        self.__wrapped__ = function
        self.__doc__ = getattr(function, "__doc__", None)

    def renew_lock(self) -> None:
        self._lock = threading.RLock()

    def __reduce__(self) -> Any:
        """The function, to be recorded again: what was recorded belongs to this process and this object."""
        return compile, (self.function,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if tracing.is_active():
            return self.function(*args, **kwargs)
        tensors: list[Tensor] = []
        key = (key_of(args, tensors), key_of(kwargs, tensors) if kwargs else None, autocast.state())
        if self._epoch != tracing.epoch():
            self.reset()
        found = self._recordings.get(key)
        if found is None:
            found = self._record(key, args, kwargs, tensors)
        return found.run(tensors)

    @property
    def num_recordings(self) -> int:
        return len(self._recordings)

    def reset(self) -> None:
        """Forget all recordings."""
        with self._lock:
            self._recordings.clear()
            self._epoch = tracing.epoch()

    def program(self, *args: Any, **kwargs: Any) -> Executable:
        """The native program of a call, recorded if need be."""
        tensors: list[Tensor] = []
        key = (key_of(args, tensors), key_of(kwargs, tensors) if kwargs else None, autocast.state())
        found = self._recordings.get(key)
        return (found or self._record(key, args, kwargs, tensors)).program

    def _record(self, key: Hashable, args: Any, kwargs: Any, tensors: list[Tensor]) -> Recording:
        # What the function computes now and keeps belongs to the recording.
        with self._lock, outside():
            recorded = record(self.function, args, kwargs, tensors)
            self._recordings[key] = recorded
            while len(self._recordings) > _MAX_PROGRAMS:
                self._recordings.popitem(last=False)
            return recorded


def compile(function: Callable[..., Any]) -> Compiled:
    """Record ``function`` (or a module) once for each shape; every later call is one native call."""
    if not callable(function):
        raise ArgumentError("compile", "function", "is not callable")
    return Compiled(function)


def key_of(value: Any, tensors: list[Tensor]) -> Hashable:
    """What tells two calls apart; collects the tensors in order."""
    if isinstance(value, Tensor):
        tensors.append(value)
        node = value._node
        return node.shape, node.dtype.name, node.device, type(value) is Pairs
    if isinstance(value, _SEQUENCES):
        return type(value), tuple([key_of(item, tensors) for item in value])
    if isinstance(value, dict):
        return dict, tuple([(name, key_of(item, tensors)) for name, item in value.items()])
    try:
        hash(value)
    except TypeError:
        raise ArgumentError("compile", "an argument", f"of type {type(value).__name__} cannot be hashed") from None
    return type(value), value


def swapped(value: Any, stand_ins: Iterator[Tensor]) -> Any:
    """The arguments with the next placeholder for each tensor, in the order of ``key_of``."""
    if isinstance(value, Tensor):
        return next(stand_ins)
    if isinstance(value, _SEQUENCES):
        items = [swapped(item, stand_ins) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {name: swapped(item, stand_ins) for name, item in value.items()}
    return value


def record(function: Callable[..., Any], args: Any, kwargs: Any, tensors: list[Tensor]) -> Recording:
    """Run the function on placeholders, and build the program of what it returns."""
    nodes = [placeholder(one._node.shape, one._node.dtype, one._node.device) for one in tensors]
    stand_ins = iter([stand_in(node, one) for node, one in zip(nodes, tensors, strict=True)])
    with tracing.recording():
        result = function(*swapped(args, stand_ins), **swapped(kwargs, stand_ins))
    outputs: list[Tensor] = []
    build = _form(result, outputs)
    if not outputs:
        raise ArgumentError("compile", "the function", "returned no tensor")
    todo = without_constants([one._node for one in outputs])
    device = outputs[0]._node.device
    if any(node.device != device for node in (*todo.leaves, *[one._node for one in outputs])):
        raise DeviceMismatchError("compile", tuple(dict.fromkeys(str(node.device) for node in todo.leaves)))
    places = {id(node): place for place, node in enumerate(nodes)}
    leaves = [source_of(node, places) for node in todo.leaves]
    specs = [(one._node.shape, one._node.dtype) for one in outputs]
    return Recording(compile_plan(todo, device), leaves, specs, build, device)


def stand_in(node: Node, tensor: Tensor) -> Tensor:
    """A handle on a node that is marked as complex where another one is."""
    return over(node) if type(tensor) is Pairs else wrap(node)


def without_constants(outputs: list[Node], as_recorded: bool = False) -> Plan:
    """The plan of the outputs, with everything computed that depends on no argument."""
    todo = plan(outputs, as_recorded)
    # Memory that others may write to is read anew in each call.
    varies = {id(node) for node in todo.leaves if node.is_placeholder or node.is_shared}
    for node in todo.pending:
        if any(id(source) in varies for source in node.inputs):
            varies.add(id(node))
    for node in (*todo.leaves, *todo.pending):
        node.is_captured = id(node) not in varies or node.is_captured  # also where only a result of it is kept
    used = [source for node in todo.pending if id(node) in varies for source in node.inputs]
    fixed = [node for node in (*used, *outputs) if node.op is not None and id(node) not in varies]
    if not fixed:
        return todo
    executor.compute(fixed)
    for node in todo.leaves:
        node.is_folded = node.is_folded or not node.is_placeholder
    return plan(outputs, as_recorded)


def source_of(node: Node, places: dict[int, int]) -> int | Buffer:
    if id(node) in places:
        return places[id(node)]
    if node.buffer is None:
        raise TracingError("compile")
    node.is_captured = True
    return node.buffer


def _form(result: Any, outputs: list[Tensor]) -> Callable[[list[Tensor]], Any]:
    """Collects the tensors of a result; returns what puts others in their places."""
    if isinstance(result, Tensor) and 0 in result._node.shape:
        shape, dtype, device = result._node.shape, result.dtype, result.device
        # Without elements there is nothing to compute. The program has this number as its output in their place.
        outputs.append(filled((), 0.0, float32, device))
        return lambda tensors: stand_in(empty_leaf(shape, dtype, device), result)
    if isinstance(result, Tensor):
        place = len(outputs)
        outputs.append(plain(result))
        return (lambda tensors: marked(tensors[place])) if type(result) is Pairs else (lambda tensors: tensors[place])
    if isinstance(result, _SEQUENCES):
        parts = [_form(item, outputs) for item in result]
        kind: Any = type(result)
        if hasattr(result, "_fields"):
            return lambda tensors: kind(*[part(tensors) for part in parts])
        return lambda tensors: kind([part(tensors) for part in parts])
    if isinstance(result, dict):
        named = {name: _form(item, outputs) for name, item in result.items()}
        return lambda tensors: {name: part(tensors) for name, part in named.items()}
    return lambda tensors: result
