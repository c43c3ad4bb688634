"""What a slice takes beside its weights, found out without them: nothing is computed, no memory is taken."""

from __future__ import annotations

from collections.abc import Sequence

from ggml.core import tracing
from ggml.core.devices import CPU, Device
from ggml.core.errors import OutOfMemoryError
from ggml.core.node import placeholder
from ggml.graph.lowering import lower_plan
from ggml.graph.plan import plan
from ggml.programs.expressions import extents
from ggml.programs.graph import Graph
from ggml.programs.slices.places import num_bytes_of
from ggml.programs.walking import walk
from ggml.tensors.tensor import Tensor, wrap
from worker_native import Graph as NativeGraph

#: More than any machine has: of larger tensors no graph is made at all.
MAX_TENSOR_BYTES = 1 << 44


def compute_bytes(graph: Graph, symbols: Sequence[int], device: Device = CPU) -> int:
    """Bytes of what is computed in one call at these extents, results included, on all devices together.

    OutOfMemoryError for extents of which no machine could hold one tensor.
    """
    given = tuple(symbols)
    for node in graph.nodes:
        for spec in node.specs:
            if num_bytes_of(spec, given) > MAX_TENSOR_BYTES:
                raise OutOfMemoryError(num_bytes_of(spec, given), device.memory_bytes[0], str(device), node.op)
    with tracing.recording():
        inputs = [
            wrap(placeholder(extents(one.spec.shape, given), one.spec.dtype, device)) if one.spec else one.constant
            for one in graph.inputs
        ]
        results = [one for one in walk(graph, inputs, given) if isinstance(one, Tensor) and 0 not in one.shape]
    outputs = [one._node for one in results if one._node.op is not None]
    if not outputs:
        return 0
    lowered = lower_plan(plan(outputs), device)
    made = sum(num_bytes_of(one.spec, given) for one in graph.users if one.spec)
    native = NativeGraph(device.native, *lowered.steps, lowered.outputs, is_plan=True)
    return made + sum(num_bytes for _, num_bytes in native.buffer_bytes())
