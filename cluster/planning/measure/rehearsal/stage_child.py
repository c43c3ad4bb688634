"""A stage of a rehearsal: the real service, and a slice of the model's shape whose weights are zeros."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cluster.messages.stage import Wiring
from cluster.node.child import answer, die_with_parent
from cluster.node.secret import Secret
from cluster.sources.source import ModelSource
from cluster.stage.cores import bound_cores, prepare_process
from cluster.stage.service import Load, StageService
from cluster.stage.spec import LoadedStage, OnProgress, StageSpec, hello_of, spec_of_record
from cluster.wire.access.keys import Keys

if TYPE_CHECKING:
    from cluster.stage.runner import StageRunner

FIRST_EPOCH = 1
POLL_S = 0.02
MEASURE_S = 0.8  # for one stage by itself


def main() -> int:
    die_with_parent()
    orders = json.loads(sys.stdin.readline())
    prepare_process()
    spec = spec_of_record(orders["spec"], ModelSource(orders["path"], ()))
    with bound_cores(spec.first_core) as core:
        import worker_native  # noqa: F401  # loads libggml

        service = StageService(spec, _loader(orders), Keys(Secret.of_text(orders["secret"])), core)
    service.start_loading()
    try:
        loaded = _wait(service)
        hello = hello_of(spec, loaded, FIRST_EPOCH)
        address = service.wire(Wiring(hello, None, None))
    except Exception as error:  # whatever it is, the parent can only go on without figures
        answer({"error": f"rehearsal: {error}"})
        return 1
    answer({"address": address, "hello": asdict(hello), "decode_ms": loaded.costs.decode_ms})
    sys.stdin.read()
    return 0


def _loader(orders: dict[str, Any]) -> Load:
    def load(spec: StageSpec, report: OnProgress) -> StageRunner:
        from cluster.stage.loading import runner_of
        from cluster.stage.models.gguf import GgufModel

        report("loading", 0.0)
        path, build, extra = orders["path"], orders["build"], orders["use_extra_bufts"]
        model = GgufModel(spec, spec.gguf, path, build, extra, lambda fraction: None, measure_s=MEASURE_S)
        return runner_of(spec, model)

    return load


def _wait(service: StageService) -> LoadedStage:
    while True:
        progress = service.progress()
        if progress.error is not None:
            raise progress.error
        if progress.loaded is not None:
            return progress.loaded
        time.sleep(POLL_S)


if __name__ == "__main__":
    sys.exit(main())
