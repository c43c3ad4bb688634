"""The stages of a rehearsal, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from cluster.api.status import Health, StageFacts
from cluster.coordinator.spec import StageEndpoint
from cluster.cutting.cut import cut
from cluster.cutting.model import Model
from cluster.messages.stage import Hello, StageCosts
from cluster.node.child import Child
from cluster.node.disk import temporary_folder
from cluster.planning.measure.rehearsal.cast import Cast
from cluster.stage.spec import StageSpec, spec_record
from cluster.wire.access.keys import Keys

READY_TIMEOUT_S = 120.0


@contextmanager
def running_stages(cast: Cast, keys: Keys) -> Iterator[tuple[StageEndpoint, ...]]:
    """Load all of them side by side. ClusterError if one cannot."""
    with temporary_folder("ggml-cluster-rehearsal-") as folder, ExitStack() as stack:
        children = []
        for spec in cast.specs:
            child = stack.enter_context(closing(Child("cluster.planning.measure.rehearsal.stage_child")))
            path = _hollow_file(folder, cast.model, spec)
            child.send(
                {
                    "spec": spec_record(spec),
                    "secret": keys.secret.text,
                    "path": str(path),
                    "use_extra_bufts": cast.use_extra_bufts,
                    "build": cast.build,
                }
            )
            children.append(child)
        yield tuple(_end(child.read(READY_TIMEOUT_S)) for child in children)


def _hollow_file(folder: Path, model: Model, spec: StageSpec) -> Path:
    path = folder / f"{spec.stage}.gguf"
    plan = cut(model, spec.first, spec.end)
    with path.open("wb") as file:
        file.write(plan.header_bytes)
        file.truncate(plan.file_bytes)
    return path


def _end(told: dict[str, Any]) -> StageEndpoint:
    hello = Hello(**told["hello"])
    facts = StageFacts(hello.stage, "", "", hello.first, hello.end, Health(), 0, 0, 0, 0, 0)
    return StageEndpoint(told["address"], hello, facts, StageCosts(tuple((rows, ms) for rows, ms in told["decode_ms"])))
