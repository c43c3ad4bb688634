"""A whole pipeline over real gRPC, with models that are made up: what it says, and what it does when one fails."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from functools import partial

import pytest

from cluster.api.errors import CapacityError, ClusterError, StageLostError, UsageError
from cluster.api.sampling import SamplingParams
from cluster.api.status import Condition
from cluster.messages.step import Microbatch
from cluster.stage.runner import StageRunner
from cluster.stage.spec import OnProgress, StageSpec
from cluster.trust.identity import Identity
from cluster.wire.access.keys import Keys
from cluster.wire.transport.channel import host_of
from tests.fakes.certificates import FakeAuthority
from tests.fakes.fake_model import FakeModel, fake_runner, load_fake
from tests.fakes.fake_pipeline import CONTEXT_LENGTH, answer_of, running_pipeline, start_all
from tests.fakes.fake_stages import FAULTY_TOKEN, UNSAMPLEABLE, alone
from tests.fakes.wire_backends import SECRET, no_thread_left

PROMPTS = [[3, 1, 4], [2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 6], [9], [6, 6, 6], [11, 12, 13]]


def params_of(number: int, **changes: float) -> SamplingParams:
    return SamplingParams(seed=number, max_tokens=12, ignore_eos=True, **changes)  # type: ignore[arg-type]


def tokens_alone(prompt: list[int], params: SamplingParams) -> list[int]:
    return alone(prompt, params, CONTEXT_LENGTH).tokens


@pytest.mark.parametrize("num_stages", [1, 2, 3])
def test_what_comes_out_is_what_the_model_says(num_stages: int) -> None:
    """Of more prompts than there are slots, one of which takes several steps."""
    with no_thread_left(), running_pipeline([load_fake] * num_stages) as pipeline:
        asked = [pipeline.ask(prompt, params_of(number)) for number, prompt in enumerate(PROMPTS)]
        for number, outputs in enumerate(asked):
            assert answer_of(outputs) == (tokens_alone(PROMPTS[number], params_of(number)), None)
        facts = pipeline.wired.describe()
    assert [(one.first, one.end, one.weight_bytes) for one in facts] == [
        (2 * stage, 2 * stage + 2, 200) for stage in range(num_stages)
    ]
    assert all(one.health.is_ready for one in facts)


def test_over_several_nodes_it_says_the_same() -> None:
    """Two stages on one node, one on another, the coordinator on a third; a new epoch over the same stages, too."""
    authority = FakeAuthority.new()
    nodes = [
        Keys(SECRET, partial(_same, authority.identity(f"node-{number}")), f"node-{number}", f"127.0.0.{number + 1}")
        for number in (1, 2, 3)
    ]
    with no_thread_left(), running_pipeline([load_fake] * 3, [nodes[0], nodes[0], nodes[1]], nodes[2]) as pipeline:
        for epoch in (1, 2):
            if epoch > 1:
                pipeline.wired.close()  # or the streams of the first epoch would be reported as lost
                pipeline.wired.rewire(epoch, pipeline.engine)
            asked = [pipeline.ask(prompt, params_of(number)) for number, prompt in enumerate(PROMPTS)]
            for number, outputs in enumerate(asked):
                assert answer_of(outputs) == (tokens_alone(PROMPTS[number], params_of(number)), None)
        facts = pipeline.wired.describe()
        hosts = [host_of(end.address) for end in pipeline.wired.ends]
    assert [one.node for one in facts] == ["node-1", "node-1", "node-2"]
    assert hosts == ["127.0.0.2", "127.0.0.2", "127.0.0.3"]


def _same(identity: Identity) -> Identity:
    return identity


def load_refusing(spec: StageSpec, report: OnProgress) -> StageRunner:
    return fake_runner(spec, FakeModel(spec, refuses=frozenset({FAULTY_TOKEN})))


@pytest.mark.parametrize("faulty", [0, 1])
def test_a_slot_that_one_stage_cannot_compute_fails_alone(faulty: int) -> None:
    loads = [load_refusing if stage == faulty else load_fake for stage in range(2)]
    # What a text that does not end may say one day is not asked for here.
    params = SamplingParams(seed=1, max_tokens=1, ignore_eos=True)
    with running_pipeline(loads) as pipeline:
        beside = pipeline.ask(PROMPTS[0], params)
        tokens, error = answer_of(pipeline.ask([3, FAULTY_TOKEN], params))
        assert (tokens, type(error)) == ([], UsageError)
        assert str(error) == f"stage {faulty}: token {FAULTY_TOKEN} cannot be computed"
        assert answer_of(beside) == (tokens_alone(PROMPTS[0], params), None)
        assert answer_of(pipeline.ask(PROMPTS[1], params)) == (tokens_alone(PROMPTS[1], params), None)


def test_a_slot_whose_logits_allow_no_token_fails_alone() -> None:
    odd, sound = params_of(1, presence_penalty=UNSAMPLEABLE), params_of(2)
    with running_pipeline([load_fake] * 2) as pipeline:
        beside = pipeline.ask(PROMPTS[1], sound)
        tokens, error = answer_of(pipeline.ask(PROMPTS[1], odd))
        assert tokens == tokens_alone(PROMPTS[1], odd)[: len(tokens)]
        assert "stage 1: the logits allow no token" in str(error)
        assert answer_of(beside) == (tokens_alone(PROMPTS[1], sound), None)


@pytest.mark.parametrize("broken", [0, 1])
def test_a_model_that_breaks_ends_the_epoch_and_the_next_one_is_sound(broken: int) -> None:
    breaks = [True]

    def break_once(batch: Microbatch) -> None:
        if batch.id.step > 3 and breaks:
            breaks.clear()
            raise RuntimeError("the device\nis gone")

    def load_breaking(spec: StageSpec, report: OnProgress) -> StageRunner:
        return fake_runner(spec, FakeModel(spec, before_forward=break_once))

    loads = [load_breaking if stage == broken else load_fake for stage in range(2)]
    with no_thread_left(), running_pipeline(loads) as pipeline:
        tokens, error = answer_of(pipeline.ask(PROMPTS[0], params_of(1)))
        assert tokens == tokens_alone(PROMPTS[0], params_of(1))[: len(tokens)]
        assert isinstance(error, StageLostError)
        assert f"stage {broken}" in str(error)
        assert "the device is gone" in str(error)
        health = pipeline.wired.describe()[broken].health
        assert health.condition is Condition.LOST
        assert health.reason.endswith("the device is gone")
        pipeline.wired.rewire(2, pipeline.engine)
        assert answer_of(pipeline.ask(PROMPTS[0], params_of(1))) == (tokens_alone(PROMPTS[0], params_of(1)), None)
        assert pipeline.wired.describe()[broken].health.is_ready


def load_failing(error: Exception, spec: StageSpec, report: OnProgress) -> StageRunner:
    report("loading", 0.1)
    raise error


def test_a_stage_that_cannot_load_says_why() -> None:
    known = CapacityError("stage 0: no room; use more stages")
    loads = [partial(load_failing, known), partial(load_failing, KeyError("x"))]
    with ExitStack() as stack:
        progresses = [service.progress() for service in start_all(stack, loads)]
    assert [progress.phase for progress in progresses] == ["failed", "failed"]
    assert progresses[0].error is known
    assert type(progresses[1].error) is ClusterError
    assert str(progresses[1].error) == "stage 1: KeyError('x')"


CHILD = """
import sys
from cluster.api.sampling import SamplingParams
from tests.fakes.fake_model import load_fake
from tests.fakes.fake_pipeline import answer_of, running_pipeline
with running_pipeline([load_fake] * 2) as pipeline:
    tokens, error = answer_of(pipeline.ask([1, 2], SamplingParams(max_tokens=2, seed=1, ignore_eos=True)))
assert len(tokens) == 2 and error is None, error
found = [name for name in sys.modules if name.split(".")[0] in ("worker_native", "ray", "llama_cpp")]
assert not found, found
assert "ggml.tensors" not in sys.modules and "ggml.programs" not in sys.modules
"""


def test_all_of_that_runs_without_libllama_and_without_ray() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
