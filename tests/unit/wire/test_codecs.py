"""Every message comes back from the wire as it was, bit for bit."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from google.protobuf import unknown_fields
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cluster.api.embedding import Pooling
from cluster.api.errors import CapacityError, ClusterError, HandshakeError, UsageError
from cluster.api.prompt import Pair, Segment
from cluster.api.results import FinishReason as Reason
from cluster.api.results import PromptCounts, PromptLogprob, Timings, TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.messages.stage import PROTOCOL_VERSION, Hello, StageAddress, StageFailure, Wiring
from cluster.messages.step import (
    NO_ROWS,
    Float32Array,
    Microbatch,
    SampledStep,
    SampledToken,
    SlotFailure,
    SlotSampling,
    SlotStart,
    StepId,
    StepResult,
    StepTiming,
)
from cluster.wire import limits
from cluster.wire.codec.answer import decode_answers, decode_events, encode_answers, encode_events
from cluster.wire.codec.embedding import decode_embed, decode_embeddings, encode_embed, encode_embeddings
from cluster.wire.codec.event import EventAssembly, UrgentEvent, encode_event
from cluster.wire.codec.facts import decode_facts, decode_status, encode_facts, encode_status
from cluster.wire.codec.hello import check_hello, decode_hello, encode_hello
from cluster.wire.codec.inference import decode_logits, encode_logits
from cluster.wire.codec.rows import RowAssembly, split_rows
from cluster.wire.codec.sampled import decode_sampled_step, encode_sampled_step
from cluster.wire.codec.sampling import decode_sampling, encode_sampling
from cluster.wire.codec.step.assembly import StepAssembly
from cluster.wire.codec.step.frames import encode_step
from cluster.wire.codec.step.header import StepLimits, check_sent, decode_header, encode_header
from cluster.wire.codec.timing import encode_timings
from cluster.wire.codec.wiring import decode_wiring, encode_wiring
from protos import inference_pb2, sampling_pb2, stage_pb2
from tests.fakes.wire_backends import EchoCluster, RecordingStage, make_batch, make_hello

COUNTS = st.integers(0, 2**63 - 1)
STEP_IDS = st.builds(StepId, COUNTS, st.integers(0, 4095), COUNTS)
TOKENS = st.integers(0, limits.MAX_VOCAB - 1)
LOGPROBS = st.floats(max_value=0, allow_nan=False)
TOPS = st.lists(st.tuples(TOKENS, LOGPROBS), max_size=20).map(tuple)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
PARAMS = st.builds(
    SamplingParams,
    max_tokens=st.none() | st.integers(0, 2**31 - 1),
    temperature=st.floats(0, 100),
    top_k=st.integers(0, 2**31 - 1),
    top_p=st.floats(0, 1),
    min_p=st.floats(0, 1),
    seed=st.none() | st.integers(0, 2**63 - 1),
    repeat_penalty=st.floats(1e-3, 100),
    repeat_last_n=st.integers(-1, 2**20),
    presence_penalty=st.floats(-100, 100),
    frequency_penalty=st.floats(-100, 100),
    stop=st.lists(TEXTS.filter(bool), max_size=16).map(tuple),
    logprobs=st.integers(0, 20),
    ignore_eos=st.booleans(),
    lora=st.dictionaries(st.integers(0, 63), st.floats(-1e6, 1e6)),
)
HELLOS = st.builds(
    make_hello,
    epoch=COUNTS,
    model_hash=TEXTS,
    build=TEXTS,
    stage=st.integers(0, 3),
    num_stages=st.integers(4, 256),
    first=st.integers(0, 10),
    end=st.integers(11, 4096),
    hidden_width=st.integers(1, limits.MAX_HIDDEN_WIDTH),
    num_slots=st.integers(1, limits.MAX_SLOTS),
    context_length=st.integers(1, limits.MAX_CONTEXT),
)
# Any bit pattern: -0.0, infinities, quiet and signalling NaNs with payloads.
FLOAT_BITS = hnp.arrays(np.uint32, st.tuples(st.integers(1, 6), st.just(8))).map(lambda bits: bits.view(np.float32))


def int32s(num_values: int, high: int, low: int = 0) -> st.SearchStrategy[Any]:
    return hnp.arrays(np.int32, num_values, elements=st.integers(low, high))


_SLOT_STARTS = st.builds(SlotStart, st.integers(0, 3), st.integers(0, 3), st.integers(0, 128))


FAILURES = st.lists(
    st.builds(SlotFailure, st.integers(0, 3), st.sampled_from(["UsageError", "ClusterError", "of later"]), TEXTS),
    max_size=4,
    unique_by=lambda failure: failure.slot,
).map(tuple)


@st.composite
def steps(draw: st.DrawFn) -> tuple[Microbatch, Float32Array | None]:
    hidden = draw(st.none() | FLOAT_BITS.filter(len))
    num_rows = draw(st.integers(1, 5)) if hidden is None else len(hidden)
    wants = draw(hnp.arrays(np.bool_, num_rows))
    flagged = np.flatnonzero(wants).astype(np.int32).tolist()
    subsets = st.lists(st.sampled_from(flagged), unique=True).map(sorted) if flagged else st.just([])
    step_id = draw(STEP_IDS)
    # Only the first stage, which takes no hidden rows, is told to wait for another step.
    steps_before = st.integers(0, step_id.step - 1) if step_id.step and hidden is None else st.none()
    after = draw(st.none() | steps_before)
    pending = [] if after is None else draw(st.lists(st.integers(0, num_rows - 1), unique=True).map(sorted))
    embeds = draw(st.booleans())
    subsets = st.just([]) if embeds else subsets
    pools = draw(st.lists(st.integers(0, num_rows - 1), unique=True).map(sorted)) if embeds else []
    scores = draw(subsets)
    batch = Microbatch(
        id=step_id,
        tokens=draw(int32s(num_rows, limits.MAX_VOCAB - 1)),
        positions=draw(int32s(num_rows, 127)),
        slots=draw(int32s(num_rows, 3)),
        wants_logits=wants,
        samples=np.array(draw(subsets), np.int32),
        returns_logits=np.array(draw(subsets), np.int32),
        new_sampling=tuple(
            draw(st.lists(st.builds(SlotSampling, st.integers(0, 3), PARAMS, st.integers(0, 128)), max_size=2))
        ),
        slot_starts=tuple(draw(st.lists(_SLOT_STARTS, max_size=4))),
        failures=draw(FAILURES),
        exclusive=draw(st.booleans()),
        after=after,
        pending=np.array(pending, np.int32),
        scores=np.array(scores, np.int32),
        targets=draw(int32s(len(scores), limits.MAX_VOCAB - 1)),
        embeds=embeds,
        pools=np.array(pools, np.int32),
        scales=tuple(draw(st.lists(st.floats(-1e6, 1e6), max_size=3))),
    )
    return batch, hidden


@st.composite
def restoring_steps(draw: st.DrawFn) -> tuple[Microbatch, Float32Array | None]:
    """As the middle one of three stages gets them: with rows, if it is among those that compute."""
    batch, hidden = draw(steps())
    stages = (1,) if hidden is not None else ()
    others = draw(st.sets(st.sampled_from([0, 2]), min_size=0 if stages else 1))
    asks = {"samples": NO_ROWS, "returns_logits": NO_ROWS, "scores": NO_ROWS, "targets": NO_ROWS, "pending": NO_ROWS}
    nothing = replace(batch, **asks, embeds=False, pools=NO_ROWS, after=None)
    return replace(nothing, restores=tuple(sorted({*stages, *others}))), hidden


def same_bits(left: Float32Array | None, right: Float32Array | None) -> bool:
    if left is None or right is None:
        return left is right
    return left.shape == right.shape and left.tobytes() == right.tobytes()


def same_batch(left: Microbatch, right: Microbatch) -> bool:
    for field in fields(Microbatch):
        ours, theirs = getattr(left, field.name), getattr(right, field.name)
        if isinstance(ours, np.ndarray):
            if ours.dtype != theirs.dtype or not np.array_equal(ours, theirs):
                return False
        elif ours != theirs:
            return False
    return True


@settings(max_examples=40)
@given(steps())
def test_step_round_trip(step: tuple[Microbatch, Float32Array | None]) -> None:
    assembly = StepAssembly(StepLimits.of(make_hello(stage=0) if step[1] is None else make_hello()))
    results = [assembly.add(stage_pb2.StepMessage.FromString(data)) for data in encode_step(*step)]
    assert results[-1] is not None
    assert same_batch(results[-1][0], step[0])
    assert same_bits(results[-1][1], step[1])


@pytest.mark.parametrize("stage", [0, 1])
def test_rows_of_pictures_travel_to_the_first_stage_too(stage: int) -> None:
    hello = make_hello(stage=stage)
    batch = replace(make_batch(1, 3), is_pictured=True)
    rows = np.random.default_rng(3).random((3, hello.hidden_width), np.float32)
    assembly = StepAssembly(StepLimits.of(hello))
    results = [assembly.add(stage_pb2.StepMessage.FromString(data)) for data in encode_step(batch, rows)]
    assert results[-1] is not None
    assert same_batch(results[-1][0], batch)
    assert same_bits(results[-1][1], rows)
    check_sent(batch, rows, StepLimits.of(hello))
    with pytest.raises(UsageError, match=r"hidden: shape None; this stage takes \(3, "):
        check_sent(batch, None, StepLimits.of(hello))


def test_tokens_come_to_the_first_stage_without_rows_and_pictures_without_scores() -> None:
    hello = make_hello(stage=0)
    rows = np.zeros((3, hello.hidden_width), np.float32)
    with pytest.raises(UsageError, match=r"hidden: shape \(3, .*this stage takes None"):
        check_sent(make_batch(1, 3), rows, StepLimits.of(hello))
    quiet = replace(make_batch(1, 3), is_pictured=True, samples=NO_ROWS, returns_logits=NO_ROWS)
    header = encode_header(quiet, hello.hidden_width)
    header.embeds = True
    with pytest.raises(UsageError, match="is_pictured: rows of pictures have no tokens, scores or vectors"):
        StepAssembly(StepLimits.of(hello)).add(stage_pb2.StepMessage(header=header))


def test_a_step_of_guesses_says_so_and_asks_for_nothing_else() -> None:
    hello = make_hello(stage=0)
    batch = replace(make_batch(1, 3), is_guessed=True, returns_logits=NO_ROWS)
    assembly = StepAssembly(StepLimits.of(hello))
    results = [assembly.add(stage_pb2.StepMessage.FromString(data)) for data in encode_step(batch, None)]
    assert results[-1] is not None
    assert same_batch(results[-1][0], batch)
    header = encode_header(batch, 0)
    header.scores = header.targets = bytes(4)
    with pytest.raises(UsageError, match="is_guessed: rows that are guesses are sampled from"):
        StepAssembly(StepLimits.of(hello)).add(stage_pb2.StepMessage(header=header))


def test_rows_that_see_each_other_are_those_of_one_picture() -> None:
    hello = make_hello(stage=1)
    limits = StepLimits.of(hello)
    one_slot = np.zeros(3, np.int32)
    batch = replace(make_batch(1, 3), is_pictured=True, slots=one_slot, non_causal=True)
    assert decode_header(encode_header(batch, hello.hidden_width), limits).non_causal
    causal = replace(batch, non_causal=False)
    assert not decode_header(encode_header(causal, hello.hidden_width), limits).non_causal
    for change in ({"is_pictured": False}, {"slots": np.array([0, 0, 1], np.int32)}):
        header = encode_header(replace(batch, **change), hello.hidden_width)
        header.non_causal = True
        with pytest.raises(UsageError, match="non_causal: rows that see each other are those of one picture"):
            decode_header(header, limits)


@given(restoring_steps())
def test_a_step_that_restores_rows(step: tuple[Microbatch, Float32Array | None]) -> None:
    assembly = StepAssembly(StepLimits.of(make_hello(num_stages=3)))
    *firsts, found = [assembly.add(stage_pb2.StepMessage.FromString(data)) for data in encode_step(*step)]
    assert not any(firsts)
    assert found is not None
    assert isinstance(found[0], Microbatch)
    assert same_batch(found[0], step[0])
    assert same_bits(found[1], step[1])


@settings(max_examples=40)
@given(PARAMS)
def test_sampling_round_trip(params: SamplingParams) -> None:
    message = sampling_pb2.Sampling.FromString(encode_sampling(params).SerializeToString())
    assert decode_sampling(message) == params


def test_absent_sampling_fields_are_defaults() -> None:
    assert decode_sampling(sampling_pb2.Sampling()) == SamplingParams()


@settings(max_examples=40)
@given(HELLOS)
def test_hello_round_trip(hello: Hello) -> None:
    assert decode_hello(stage_pb2.Hello.FromString(encode_hello(hello).SerializeToString())) == hello


_ADDRESSES = st.builds(StageAddress, st.integers(1, 65535).map("127.0.0.1:{}".format), HELLOS)


@settings(max_examples=40)
@given(st.builds(Wiring, HELLOS, st.none() | _ADDRESSES, st.none() | _ADDRESSES))
def test_wiring_round_trip(wiring: Wiring) -> None:
    assert decode_wiring(stage_pb2.WireRequest.FromString(encode_wiring(wiring).SerializeToString())) == wiring


@st.composite
def sampled_steps(draw: st.DrawFn) -> SampledStep:
    num_sampled = draw(st.integers(0, 5))
    return SampledStep(draw(STEP_IDS), draw(int32s(num_sampled, 3)), draw(int32s(num_sampled, limits.MAX_VOCAB - 1)))


@settings(max_examples=40)
@given(sampled_steps())
def test_sampled_round_trip(sampled: SampledStep) -> None:
    got = decode_sampled_step(
        stage_pb2.SampledStep.FromString(encode_sampled_step(sampled).SerializeToString()), num_slots=4
    )
    assert got.id == sampled.id
    assert [got.slots.tolist(), got.tokens.tolist()] == [sampled.slots.tolist(), sampled.tokens.tolist()]


SAMPLED = st.lists(
    st.builds(SampledToken, st.integers(0, 16383), st.integers(0, 1023), TOKENS, LOGPROBS, TOPS), max_size=4
).map(tuple)
RESULTS = st.builds(StepResult, STEP_IDS, SAMPLED, failures=FAILURES, scored=SAMPLED)
TIMINGS = st.builds(
    StepTiming, STEP_IDS, st.integers(0, 255), st.integers(0, 16384), st.just(3), st.integers(3, 9), COUNTS
)
STAGE_FAILURES = st.builds(StageFailure, st.integers(0, 255), COUNTS, TEXTS)


@settings(max_examples=40)
@given(RESULTS | STAGE_FAILURES, st.none() | FLOAT_BITS, st.sampled_from(["logits", "embeddings"]))
def test_event_round_trip(event: UrgentEvent, rows: Float32Array | None, kind: str) -> None:
    if isinstance(event, StepResult):
        event = replace(event, **{kind: rows})
    assembly = EventAssembly()
    (got,) = itertools.chain(*(assembly.add(through_bytes(message)) for message in encode_event(event)))
    if isinstance(event, StepResult):
        assert isinstance(got, StepResult)
        assert same_bits(got.logits, event.logits)
        assert same_bits(got.embeddings, event.embeddings)
        without: dict[str, Any] = {"logits": None, "embeddings": None}
        assert replace(got, **without) == replace(event, **without)
    else:
        assert got == event


@given(st.lists(TIMINGS, max_size=3))
def test_timings_round_trip(timings: list[StepTiming]) -> None:
    assert EventAssembly().add(through_bytes(encode_timings(timings))) == timings


def through_bytes(message: stage_pb2.StageEvent) -> stage_pb2.StageEvent:
    return stage_pb2.StageEvent.FromString(message.SerializeToString())


TOKEN_EVENTS = st.builds(
    TokenEvent,
    st.none() | TOKENS,
    TEXTS,
    st.none() | LOGPROBS,
    TOPS,
    st.none() | st.sampled_from(Reason),
    st.none() | st.builds(Timings, *[st.integers(0, 2**32 - 1)] * 3, *[st.floats(0, 1e9)] * 3),
    st.none() | st.text(st.characters(codec="utf-8"), max_size=9),
    st.none() | st.builds(PromptCounts, *[st.integers(0, 2**32 - 1)] * 3),
    st.tuples(TOKENS, st.lists(st.tuples(TOKENS, LOGPROBS, TOPS), max_size=3)).map(
        lambda given: (PromptLogprob(given[0], None), *(PromptLogprob(*one) for one in given[1]))
    )
    | st.just(()),
)


@settings(max_examples=40)
@given(st.lists(TOKEN_EVENTS, max_size=4))
def test_token_events_round_trip(events: list[TokenEvent]) -> None:
    data = [message.SerializeToString() for message in encode_events(events)]
    assert len(data) == bool(events)
    assert [event for one in data for event in decode_events(inference_pb2.GenerateEvents.FromString(one))] == events


@pytest.mark.parametrize("text", ["", "\u20ac" * 3000])
def test_events_are_split_before_a_message_is_too_long(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(limits, "PART_BYTES", 20_000)
    events = [TokenEvent(None, text) for _ in range(9000 if text == "" else 20)]
    messages = list(encode_events(events))
    assert [event for message in messages for event in decode_events(message)] == events
    one_bytes = next(encode_events(events[:1])).ByteSize()
    assert max(message.ByteSize() for message in messages) < 20_000 + one_bytes + 5
    assert len(messages) == (3 if text == "" else 7)


ANSWERS = st.dictionaries(
    st.integers(0, 9), st.tuples(st.lists(TOKEN_EVENTS, max_size=3), st.none() | TEXTS), max_size=4
)


@settings(max_examples=40)
@given(ANSWERS, st.sampled_from([1, 100, limits.PART_BYTES]))
def test_answers_round_trip(answers: dict[int, tuple[list[TokenEvent], str | None]], part_bytes: int) -> None:
    """However small the parts are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "PART_BYTES", part_bytes)
        sent: dict[int, list[TokenEvent | ClusterError]] = {
            request: [*events, *([] if failure is None else [CapacityError(failure)])]
            for request, (events, failure) in answers.items()
        }
        data = [message.SerializeToString() for message in encode_answers(sent)]
    found: dict[int, list[TokenEvent | ClusterError]] = {}
    for one in data:
        for request, outputs in decode_answers(inference_pb2.CompleteAnswers.FromString(one), 10).items():
            found.setdefault(request, []).extend(outputs)
    assert [(request, list(map(plain, of_one))) for request, of_one in found.items()] == [
        (request, list(map(plain, of_one))) for request, of_one in sent.items()
    ]


def plain(output: TokenEvent | ClusterError) -> object:
    return (type(output), str(output)) if isinstance(output, ClusterError) else output


def test_a_failure_of_another_version_is_an_error_of_ours() -> None:
    failure = inference_pb2.Failure(kind="BrandNewError", message="new: it is; wait")
    message = inference_pb2.CompleteAnswers(answers=[inference_pb2.Answer(request=0, failure=failure)])
    ((error,),) = decode_answers(message, 1).values()
    assert plain(error) == (ClusterError, "new: it is; wait")


@settings(max_examples=20)
@given(FLOAT_BITS)
def test_logits_round_trip(logits: Float32Array) -> None:
    parts = [decode_logits(part) for part in encode_logits(logits)]
    assert same_bits(np.concatenate(parts), logits)


def again(message: Any) -> Any:
    return type(message).FromString(message.SerializeToString())


@settings(max_examples=20)
@given(FLOAT_BITS, st.none() | st.sampled_from(Pooling))
def test_embeddings_round_trip(vectors: Float32Array, pooling: Pooling | None) -> None:
    num_tokens = list(range(len(vectors)))
    parts = [decode_embeddings(again(part)) for part in encode_embeddings(num_tokens, vectors)]
    assert [count for counts, _ in parts for count in counts] == num_tokens
    assert same_bits(np.concatenate([rows for _, rows in parts]), vectors)
    pair = Pair("query", "")
    asked = decode_embed(again(encode_embed(["a", [1, 2], (Segment("b"), Segment("c", True)), pair], pooling)))
    assert asked.inputs == ((Segment("a"),), [1, 2], (Segment("b"), Segment("c", True)), pair)
    assert asked.pooling is pooling


def test_status_and_facts_round_trip() -> None:
    status = EchoCluster().status()
    assert decode_status(encode_status(status)) == status
    facts = RecordingStage().describe()
    assert decode_facts(encode_facts(facts)) == facts


def test_status_of_another_version_is_refused() -> None:
    message = encode_status(EchoCluster().status())
    message.protocol_version = 99
    with pytest.raises(HandshakeError, match=f"cluster has 99, this client {PROTOCOL_VERSION}"):
        decode_status(message)


@pytest.mark.parametrize("hidden", [None, np.ones((3, 8), np.float32), np.ones((3, 300), np.float32)])
def test_step_bytes_are_those_of_protobuf(hidden: Float32Array | None) -> None:
    """The fields that we join ourselves, read and written by protobuf: nothing is unknown, nothing is lost."""
    batch = make_batch(num_rows=3)
    (data,) = encode_step(batch, hidden)
    message = stage_pb2.StepMessage.FromString(data)
    assert message.header == encode_header(batch, 0 if hidden is None else hidden.shape[1])
    assert message.hidden == (b"" if hidden is None else hidden.tobytes())
    fields = [field.name for field, _ in message.ListFields()]
    assert fields == (["header"] if hidden is None else ["header", "hidden"])
    assert len(unknown_fields.UnknownFieldSet(message)) == 0


def test_rows_that_do_not_lie_in_one_piece() -> None:
    hidden = np.arange(48, dtype=np.float32).reshape(8, 6).T
    assert not hidden.flags.c_contiguous
    (data,) = encode_step(make_batch(num_rows=6), hidden)
    assert stage_pb2.StepMessage.FromString(data).hidden == hidden.tobytes()


def test_long_arrays_are_split_at_rows() -> None:
    width = 4096
    rows = np.random.default_rng(0).random((1500, width), np.float32)
    parts = list(split_rows(rows))
    assert len(parts) == 6
    assert max(map(len, parts)) <= limits.PART_BYTES
    assert all(len(part) % (4 * width) == 0 for part in parts)
    assembly = RowAssembly("hidden", 1500, width)
    for part in parts:
        assert not assembly.is_complete
        assembly.add(part)
    assert assembly.is_complete
    assert same_bits(assembly.take(), rows)


def test_no_message_of_a_long_step_exceeds_the_limit() -> None:
    hello = make_hello(hidden_width=4096)
    batch = make_batch(num_rows=4096)
    hidden = np.ones((4096, 4096), np.float32)
    messages = list(encode_step(batch, hidden))
    assert len(messages) == 16
    assert all(len(data) < limits.MAX_MESSAGE_BYTES for data in messages)
    assembly = StepAssembly(StepLimits.of(hello))
    results = [assembly.add(stage_pb2.StepMessage.FromString(data)) for data in messages]
    assert [result is None for result in results] == [True] * 15 + [False]
    assert results[-1] is not None
    assert same_bits(results[-1][1], hidden)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"protocol_version": 2}, "hello.protocol_version: stage 1 has 1, its peer has 2"),
        ({"model_hash": "cd"}, "hello.model_hash"),
        ({"build": "x"}, "hello.build: stage 1 has '0.3.36', its peer has 'x'"),
        ({"stage": 0}, "hello.stage"),
        ({"num_stages": 3}, "hello.num_stages"),
        ({"first": 3}, "hello.first"),
        ({"end": 9}, "hello.end"),
        ({"hidden_width": 16}, "hello.hidden_width: stage 1 has 8, its peer has 16"),
        ({"num_slots": 5}, "hello.num_slots"),
        ({"context_length": 256}, "hello.context_length"),
        ({"epoch": 2}, "hello.epoch: stage 1 is in epoch 3, its peer in 2"),
    ],
)
def test_hello_mismatch_names_field_and_values(change: dict[str, object], text: str) -> None:
    with pytest.raises(HandshakeError, match=text):
        check_hello(make_hello(), make_hello(**change))


def test_newer_epoch_agrees() -> None:
    check_hello(make_hello(), make_hello(epoch=4))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"num_stages": 0}, "hello.num_stages: 0"),
        ({"num_stages": 257}, "hello.num_stages"),
        ({"stage": 2}, "hello.stage: 2"),
        ({"first": 8}, "hello.first"),
        ({"end": 4097}, "hello.end"),
        ({"hidden_width": 0}, "hello.hidden_width"),
        ({"hidden_width": limits.MAX_HIDDEN_WIDTH + 1}, "hello.hidden_width"),
        ({"num_slots": limits.MAX_SLOTS + 1}, "hello.num_slots"),
        ({"context_length": 0}, "hello.context_length"),
        ({"epoch": 2**63}, "hello.epoch"),
        ({"build": "x" * 300}, "hello.build: length 300"),
        ({"wire_dtype": "f8"}, "hello.wire_dtype: 'f8'"),
    ],
)
def test_hello_out_of_bounds(change: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        decode_hello(encode_hello(make_hello(**change)))
