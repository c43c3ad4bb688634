"""Stages with fake models, wired over real gRPC and driven by the real engine: a cluster without libllama and Ray."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from cluster.actors.driver.wiring import wire_all
from cluster.api.errors import ClusterError
from cluster.api.results import TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.coordinator.stages import WiredStages
from cluster.engine.events import Output, is_last
from cluster.engine.limits import Limits
from cluster.engine.loop import Engine
from cluster.sources.source import ModelSource
from cluster.stage.service import Load, StageService
from cluster.stage.spec import GgufOptions, LoadedStage, StageSpec
from cluster.wire.access.keys import Keys
from tests.fakes.fake_stages import VOCABULARY
from tests.fakes.wire_backends import SECRET, wait_until

CONTEXT_LENGTH, NUM_SLOTS, UBATCH_SIZE = 64, 4, 8
ANSWER_S = 30.0


def make_spec(stage: int, num_stages: int) -> StageSpec:
    """Two layers in each stage."""
    return StageSpec(
        stage=stage,
        num_stages=num_stages,
        node="localhost",
        source=ModelSource("fake", ()),
        model_hash="fa" * 32,
        first=2 * stage,
        end=2 * stage + 2,
        device="none",
        context_length=CONTEXT_LENGTH,
        num_slots=NUM_SLOTS,
        ubatch_size=UBATCH_SIZE,
        num_threads=1,
        num_threads_exclusive=1,
        first_core=None,
        options=GgufOptions("f16", "f16", "off"),
    )


@dataclass
class FakePipeline:
    """`wired` is what the coordinator holds of the stages."""

    services: list[StageService]
    wired: WiredStages
    engine: Engine

    def ask(self, prompt: Sequence[int], params: SamplingParams) -> queue.SimpleQueue[Output]:
        outputs: queue.SimpleQueue[Output] = queue.SimpleQueue()
        self.engine.submit(prompt, params, outputs.put)
        return outputs


def answer_of(outputs: queue.SimpleQueue[Output]) -> tuple[list[int], ClusterError | None]:
    """All tokens of a request, and the error that ended it."""
    tokens = []
    while True:
        output = outputs.get(timeout=ANSWER_S)
        if isinstance(output, TokenEvent) and output.token is not None:
            tokens.append(output.token)
        if is_last(output):
            return tokens, output if isinstance(output, ClusterError) else None


def start_all(stack: ExitStack, loads: Sequence[Load], keys: Sequence[Keys] = ()) -> list[StageService]:
    """A stage for each of `loads`, ready or failed; `keys`: of the node of each, where there are several."""
    services = []
    for stage, load in enumerate(loads):
        own = keys[stage] if keys else Keys(SECRET)
        services.append(StageService(make_spec(stage, len(loads)), load, own))
        stack.callback(services[-1].stop)
        services[-1].start_loading()
    wait_until(lambda: all(service.progress().phase in ("ready", "failed") for service in services))
    return services


@contextmanager
def running_pipeline(
    loads: Sequence[Load], keys: Sequence[Keys] = (), coordinator: Keys | None = None
) -> Iterator[FakePipeline]:
    """Stages that `loads` load, in epoch 1, and an engine over them; `keys` as for `start_all`."""
    driver = coordinator or Keys(SECRET)
    with ExitStack() as stack:
        services = start_all(stack, loads, keys)
        loaded = [_loaded(service) for service in services]
        specs = [make_spec(stage, len(loads)) for stage in range(len(loads))]
        ends = wire_all(specs, loaded, 1, lambda stage, wiring: services[stage].wire(wiring), driver.node)
        wired = WiredStages(driver)
        stack.callback(wired.close)
        engine = Engine(wired, VOCABULARY, Limits(NUM_SLOTS, CONTEXT_LENGTH, UBATCH_SIZE, len(loads)))
        thread = threading.Thread(target=engine.run, name="engine")
        thread.start()
        stack.callback(_stop, engine.stop, thread)
        wired.wire(1, ends, engine)
        yield FakePipeline(services, wired, engine)


def _stop(stop: Callable[[], None], thread: threading.Thread) -> None:
    stop()
    thread.join()


def _loaded(service: StageService) -> LoadedStage:
    loaded = service.progress().loaded
    assert loaded is not None, service.progress().error
    return loaded
