"""A native graph with its fixed memory, and how its failures are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ggml.core.devices import Device
from ggml.core.errors import (
    CancelledError,
    ClosedTensorError,
    DivisionByZeroError,
    ForkedProcessError,
    GgmlError,
    IndexOutOfRangeError,
    OutOfMemoryError,
)
from ggml.core.memory import own_all
from ggml.graph import observers, timing
from ggml.graph.lowering import lower_plan
from ggml.graph.plan import Plan
from ggml.graph.program import Steps
from worker_native import Buffer, ForkedError, Graph, OccupiedError

#: What is given the elements of a result as soon as they are there. It may look at them only while it is called.
Early = Callable[[bytes | memoryview], object]


@dataclass(frozen=True, slots=True)
class Executable:
    """A native graph, and the memory that goes into it beside the leaves."""

    graph: Graph
    num_leaves: int
    constants: list[Buffer]  # its inputs after the leaves
    step_ops: list[str]  # the operation that each step belongs to, for messages
    steps: Steps
    outputs: NDArray[np.int64]  # the steps that are results
    nodes_of_outputs: list[int] = field(default_factory=list)  # of the native graph; filled when somebody asks early

    def run(self, leaves: list[Buffer], device: Device, early: Mapping[int, Early] | None = None) -> list[Buffer]:
        """One buffer for each output. Python is not called while it computes, save for observers and profiles.

        ``early``: by place of the output, who sees it before the others are computed. Where something else watches the
        graph they are not called.
        """
        timer = timing.active()
        if timer is None:
            return self._run(leaves, device, None, early)
        with timer.span(timing.title(self.step_ops), "graph", device=str(device), num_bytes=self.graph.num_bytes):
            return self._run(leaves, device, timer, early)

    def _run(
        self, leaves: list[Buffer], device: Device, timer: timing.Timer | None, early: Mapping[int, Early] | None
    ) -> list[Buffer]:
        watching = observers.active()
        try:
            if watching:
                observe, wanted = observers.watch(self, watching)
                return own_all(self.graph.run(leaves + self.constants, observe, wanted))
            if timer is not None and timer.with_nodes:
                return own_all(self.graph.run(leaves + self.constants, *timer.watch(self)))
            if early:
                return own_all(self.graph.run(leaves + self.constants, *self._watch(early)))
            return own_all(self.graph.run(leaves + self.constants))
        except IndexError as error:
            raise IndexOutOfRangeError(self.step_ops[error.args[1]], error.args[0]) from None
        except ZeroDivisionError as error:
            raise DivisionByZeroError(self.step_ops[error.args[1]]) from None
        except InterruptedError:
            raise CancelledError from None
        except (ForkedError, OccupiedError) as error:
            raise misplaced(error) from None
        except ValueError:
            if any(buffer.is_closed for buffer in leaves):
                raise ClosedTensorError("eval") from None
            raise
        except MemoryError as error:
            raise out_of_memory(error, device) from None

    def _watch(self, early: Mapping[int, Early]) -> tuple[Callable[[int, bytes | memoryview], object], list[int]]:
        """What the native graph calls, and for which nodes."""
        if not self.nodes_of_outputs:
            found = {step: index for index, (step, *_) in enumerate(self.graph.nodes())}
            self.nodes_of_outputs.extend(found[step] for step in self.outputs.tolist())
        told = {self.nodes_of_outputs[place]: see for place, see in early.items()}
        return (lambda index, raw: told[index](raw)), list(told)


def misplaced(error: ForkedError | OccupiedError, op: str = "eval") -> GgmlError:
    """What the native library says of work in the wrong process, or inside of a run."""
    if isinstance(error, OccupiedError):
        return GgmlError(f"{op}: {error}")
    device, _, why = str(error).partition(": ")
    return ForkedProcessError(op, device, why)


def out_of_memory(error: MemoryError, device: Device) -> OutOfMemoryError:
    """What the native library says, with the sizes."""
    why, requested = (*error.args, 0, 0)[:2] if error.args else ("none is left", 0)
    return OutOfMemoryError(requested, device.memory_bytes[0], str(device), str(why))


def compile_plan(todo: Plan, device: Device) -> Executable:
    """Lower each node, and build the native graph."""
    observers.refuse_inside()
    timer = timing.active()
    if timer is None:
        return _compiled(todo, device)
    with timer.span("build a graph", "build", device=str(device), num_nodes=len(todo.pending)):
        return _compiled(todo, device)


def _compiled(todo: Plan, device: Device) -> Executable:
    lowered = lower_plan(todo, device)
    graph = Graph(device.native, *lowered.steps, lowered.outputs)
    return Executable(graph, len(todo.leaves), lowered.constants, lowered.step_ops, lowered.steps, lowered.outputs)
