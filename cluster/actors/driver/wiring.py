"""In which order stages are wired, and what each is told of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cluster.coordinator.spec import StageEndpoint
from cluster.messages.stage import Callers, StageAddress, Wiring
from cluster.stage.spec import LoadedStage, StageSpec, hello_of


def wire_all(
    specs: Sequence[StageSpec],
    loaded: Sequence[LoadedStage],
    epoch: int,
    wire: Callable[[int, Wiring], str],
    coordinator: str = "",
) -> tuple[StageEndpoint, ...]:
    """Wire all stages for an epoch by `wire(stage, wiring)`, which returns where that stage listens.

    `coordinator`: the name of the node that it is on.

    It goes from the last stage to the first: each needs the address of the next, and the first that of the last too.
    """
    ends: list[StageEndpoint] = []
    downstream: StageAddress | None = None
    last: StageAddress | None = None
    nodes = [ready.facts.node for ready in loaded]
    for spec, ready in reversed(list(zip(specs, loaded, strict=True))):
        hello = hello_of(spec, ready, epoch)
        callers = Callers(nodes[spec.stage - 1] if spec.stage else coordinator, coordinator, nodes[0])
        told = Wiring(hello, downstream, last if spec.stage == 0 else None, callers)
        downstream = StageAddress(wire(spec.stage, told), hello, ready.facts.node)
        last = last or downstream
        ends.insert(0, StageEndpoint(downstream.address, hello, ready.facts, ready.costs))
    return tuple(ends)
