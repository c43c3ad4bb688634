"""Bytes from a stranger give one of our errors, or a message within its limits; never anything else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.api.embedding import Pooling
from cluster.api.errors import CapacityError, ClusterError, UsageError
from cluster.api.prompt import Segment
from cluster.api.results import FinishReason, Timings, TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.messages.step import (
    Float32Array,
    Microbatch,
    SampledStep,
    SampledToken,
    SlotSampling,
    SlotStart,
    StepId,
    StepResult,
    StepTiming,
)
from cluster.wire import limits
from cluster.wire.codec.adapters import (
    decode_adapters,
    decode_adapters_request,
    encode_adapters,
    encode_adapters_request,
)
from cluster.wire.codec.answer import decode_answers, decode_events, encode_answers, encode_events
from cluster.wire.codec.embedding import decode_embed, decode_embeddings, encode_embed, encode_embeddings
from cluster.wire.codec.event import EventAssembly, encode_event
from cluster.wire.codec.facts import decode_facts, decode_status, encode_facts, encode_status
from cluster.wire.codec.hello import decode_hello, encode_hello
from cluster.wire.codec.inference import (
    decode_complete,
    decode_generate,
    decode_logits,
    encode_generate,
    encode_logits,
)
from cluster.wire.codec.sampled import decode_sampled_step, encode_sampled_step
from cluster.wire.codec.step.assembly import StepAssembly
from cluster.wire.codec.step.frames import encode_step
from cluster.wire.codec.step.header import StepLimits, check_sent, encode_header
from cluster.wire.codec.timing import encode_timings
from cluster.wire.limits import parse
from protos import inference_pb2, stage_pb2
from tests.fakes.wire_backends import EchoCluster, RecordingStage, make_batch, make_hello, make_hidden

LIMITS = StepLimits.of(make_hello())
BATCH = make_batch(
    new_sampling=(SlotSampling(1, SamplingParams(seed=3, stop=("a",)), 7),), slot_starts=(SlotStart(2, 3, 5),)
)
RESULT = StepResult(StepId(3, 0, 1), (SampledToken(0, 1, 5, -0.5, ((5, -0.5),)),), make_hidden())
SAMPLED_STEP = SampledStep.of(RESULT)
EVENT = TokenEvent(5, "x", -0.5, ((5, -0.5),), FinishReason.STOP, Timings())
COMPLETE_REQUEST = inference_pb2.CompleteRequest(
    requests=[encode_generate([1, 2], SamplingParams()), encode_generate("text", SamplingParams())]
)
ANSWERS = next(encode_answers({0: [EVENT, EVENT], 2: [CapacityError("queue: full")]}))


def step_message(batch: Microbatch, hidden: Float32Array | None) -> stage_pb2.StepMessage:
    """The first message of a step."""
    return parse(stage_pb2.StepMessage, next(encode_step(batch, hidden)))


# Each kind of message that is received: a sound one, and what reads it.
RECEIVED: list[tuple[Message, Callable[[Any], object]]] = [
    (step_message(BATCH, make_hidden()), lambda message: StepAssembly(LIMITS).add(message)),
    (next(encode_event(RESULT)), lambda message: EventAssembly().add(message)),
    (
        encode_timings([StepTiming(StepId(3, 0, 1), 1, 2, 3, 4, 5)]),
        lambda message: EventAssembly().add(message),
    ),
    (encode_sampled_step(SAMPLED_STEP), lambda message: decode_sampled_step(message, num_slots=4)),
    (encode_hello(make_hello()), decode_hello),
    (encode_facts(RecordingStage().describe()), decode_facts),
    (encode_status(EchoCluster().status()), decode_status),
    (encode_generate([1, 2, 3], SamplingParams(stop=("a",))), decode_generate),
    (encode_generate("text", SamplingParams()), decode_generate),
    (COMPLETE_REQUEST, decode_complete),
    (next(encode_events([EVENT, EVENT])), decode_events),
    (ANSWERS, lambda message: decode_answers(message, num_requests=3)),
    (next(encode_logits(make_hidden())), decode_logits),
    (encode_adapters_request(((0, 0.5), (3, -1.0))), decode_adapters_request),
    (encode_adapters(EchoCluster().adapters(None)), decode_adapters),
    (encode_embed(["text", [1, 2], (Segment("a", True),)], Pooling.LAST), decode_embed),
    (next(encode_embeddings([3, 4], make_hidden())), decode_embeddings),
]


def read(kind: type[Message], decode: Callable[[Any], object], data: bytes) -> object | None:
    try:
        return decode(parse(kind, data))
    except ClusterError as error:
        assert str(error)
        return None


@settings(max_examples=150)
@given(st.sampled_from(RECEIVED), st.binary(max_size=200))
def test_random_bytes(received: tuple[Message, Callable[[Any], object]], data: bytes) -> None:
    message, decode = received
    read(type(message), decode, data)


@settings(max_examples=400)
@given(
    st.sampled_from(RECEIVED),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, 40),
)
def test_damaged_messages(
    received: tuple[Message, Callable[[Any], object]], flips: list[tuple[float, int]], num_cut: int
) -> None:
    message, decode = received
    data = bytearray(message.SerializeToString())
    for where, value in flips:
        data[int(where * len(data))] = value
    got = read(type(message), decode, bytes(data[: len(data) - num_cut]))
    if isinstance(got, tuple) and got and isinstance(got[0], Microbatch):
        assert_within_limits(got[0])


def assert_within_limits(batch: Microbatch) -> None:
    """What libllama would abort on does not get past the codec."""
    num_rows = batch.num_rows
    assert len(batch.positions) == len(batch.slots) == len(batch.wants_logits) == num_rows
    assert ((batch.slots >= 0) & (batch.slots < LIMITS.num_slots)).all()
    assert ((batch.positions >= 0) & (batch.positions < LIMITS.context_length)).all()
    assert (batch.tokens >= 0).all()
    for rows in (batch.samples, batch.returns_logits):
        assert batch.wants_logits[rows].all()
    for start in batch.slot_starts:
        assert 0 <= start.slot < LIMITS.num_slots
        assert 0 <= start.source < LIMITS.num_slots
        assert 0 <= start.length <= LIMITS.context_length
    assert all(math.isfinite(scale) for scale in batch.scales)
    assert len(batch.scales) <= 64
    assert list(batch.restores) == sorted(set(batch.restores) & set(range(LIMITS.num_stages)))


INT32 = np.array([1, -1], "<i4").tobytes()
BIG = np.array([1, 2**31 - 1], "<i4").tobytes()


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("num_rows", 0, "num_rows: 0 is out of range"),
        ("num_rows", 3, "wants_logits: 2 bytes; it must be 3"),
        ("num_rows", limits.MAX_ROWS + 1, "num_rows: 16385 is out of range"),
        ("tokens", b"1234567", "tokens: 7 bytes; 2 int32 take 8"),
        ("tokens", INT32, "tokens: -1 is out of range"),
        ("tokens", BIG, "tokens: 2147483647 is out of range"),
        ("positions", INT32, "positions: -1"),
        ("positions", np.array([0, 128], "<i4").tobytes(), "positions: 128 is out of range; .* 0 to 127"),
        ("slots", np.array([0, 4], "<i4").tobytes(), "slots: 4 is out of range; .* 0 to 3"),
        ("slots", b"", "slots: 0 bytes"),
        ("wants_logits", b"\1\2", "wants_logits: 2 bytes; it must be 2 bytes of 0 or 1"),
        ("wants_logits", b"\1\0", "samples: a row that is not in wants_logits"),
        ("samples", np.array([2], "<i4").tobytes(), "samples: 2 is out of range"),
        ("samples", np.array([1, 1], "<i4").tobytes(), "samples: rows out of order, or one named twice"),
        ("samples", b"123", "samples: 3 bytes"),
        ("returns_logits", np.zeros(3, "<i4").tobytes(), "returns_logits: length 12 is over the limit"),
        ("hidden_width", 0, "hidden_width: 0 is out of range"),
        ("hidden_width", 1 << 31, "hidden_width: 2147483648 is out of range"),
        ("after", 0, "after: only the first stage waits for tokens"),
        ("pending", INT32, "pending: rows without a step that they wait for"),
        ("pools", INT32, "pools: rows of a step that does not embed"),
        ("embeds", True, "embeds: logits of the step's rows are asked for, too"),
    ],
)
def test_header_field_is_named(field: str, value: Any, text: str) -> None:
    message = step_message(BATCH, make_hidden())
    setattr(message.header, field, value)
    with pytest.raises(UsageError, match=text):
        StepAssembly(LIMITS).add(message)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"id": StepId(2**63, 0, 0)}, "id.epoch"),
        ({"id": StepId(0, limits.MAX_MICROBATCHES, 0)}, "id.microbatch"),
        ({"id": StepId(0, 0, 2**63)}, "id.step"),
        ({"scales": (0.5, math.nan)}, "scales: one is no number from -1e.06 to 1e.06"),
        ({"scales": (-math.inf,)}, "scales: one is no number"),
        ({"scales": (2e6,)}, "scales: one is no number"),
        ({"scales": (1.0,) * 65}, "scales: length 65"),
        ({"slot_starts": (SlotStart(4, 0, 0),)}, "slot_starts.slot: 4 is out of range"),
        ({"slot_starts": (SlotStart(0, 4, 0),)}, "slot_starts.source: 4 is out of range"),
        ({"slot_starts": (SlotStart(0, 0, 129),)}, "slot_starts.length: 129 is out of range"),
        ({"slot_starts": (SlotStart(0, 0, 0),) * 5}, "slot_starts: length 5"),
        ({"restores": (1,)}, "restores: something is asked of a step that only restores rows"),
        ({"restores": (2,)}, "restores.stage: 2 is out of range"),
        ({"restores": (0, 1, 0)}, "restores: length 3"),
        ({"restores": (1, 0)}, r"restores: stages \[1, 0\]; each at most once"),
        ({"new_sampling": (SlotSampling(4, SamplingParams(), 1),)}, "new_sampling.slot: 4"),
        ({"new_sampling": (SlotSampling(0, SamplingParams(), 1),) * 5}, "new_sampling: length 5"),
    ],
)
def test_batch_field_is_named(change: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        StepAssembly(LIMITS).add(step_message(make_batch(**change), make_hidden()))


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("temperature", float("nan"), "temperature: nan"),
        ("temperature", -1.0, "temperature: -1.0 is out of range"),
        ("top_p", 1.5, "top_p"),
        ("top_k", 2**32 - 1, "top_k"),
        ("seed", 2**64 - 1, "seed"),
        ("logprobs", 21, "logprobs: 21 is out of range"),
        ("max_tokens", 2**31, "max_tokens"),
        ("until_end", True, "max_tokens: given together with until_end"),
    ],
)
def test_sampling_field_is_named(field: str, value: Any, text: str) -> None:
    request = encode_generate("text", SamplingParams(max_tokens=9))
    setattr(request.params, field, value)
    with pytest.raises(UsageError, match=text):
        decode_generate(request)


def test_parts_out_of_order() -> None:
    assembly = StepAssembly(LIMITS)
    with pytest.raises(UsageError, match="hidden rows without a header"):
        assembly.add(stage_pb2.StepMessage(hidden=b"1234"))
    with pytest.raises(UsageError, match="no part of a step"):
        assembly.add(stage_pb2.StepMessage(hello=encode_hello(make_hello())))
    with pytest.raises(UsageError, match="hidden rows without a header"):
        assembly.add(stage_pb2.StepMessage())
    header = encode_header(BATCH, 8)
    for data, text in (
        (b"123", "a part of 3 bytes"),
        (b"", "a part of 0 bytes"),
        (bytes(96), "1 to 2 rows of 32"),
    ):
        with pytest.raises(UsageError, match=text):
            StepAssembly(LIMITS).add(stage_pb2.StepMessage(header=header, hidden=data))
    half = stage_pb2.StepMessage(header=header, hidden=bytes(32))
    assert assembly.add(half) is None
    with pytest.raises(UsageError, match="a header while rows"):
        assembly.add(half)


def test_only_a_step_that_follows_another_may_lack_tokens() -> None:
    first = StepLimits.of(make_hello(stage=0))
    pending = np.array([0], np.int32)
    good = make_batch(step=1, pending=pending, after=0)
    assert StepAssembly(first).add(step_message(good, None)) is not None
    for change, text in (
        ({"pending": pending}, "pending: rows without a step that they wait for"),
        ({"pending": pending - 1, "after": 0}, "pending: -1 is out of range; .* 0 to 1"),
        ({"pending": pending + 2, "after": 0}, "pending: 2 is out of range; .* 0 to 1"),
        ({"pending": np.array([1, 0], np.int32), "after": 0}, "pending: rows out of order"),
        ({"pending": np.array([0, 0], np.int32), "after": 0}, "pending: rows out of order, or one named twice"),
        ({"pending": pending, "after": 1}, "after: 1 is out of range; .* 0 to 0"),
        (
            {"tokens": np.array([-1, 3], np.int32), "pending": pending, "after": 0},
            "tokens: -1 is out of range; .* 0 to",
        ),
    ):
        with pytest.raises(UsageError, match=text):
            StepAssembly(first).add(step_message(make_batch(step=1, **change), None))
    for change in ({"after": 0}, {"after": 0, "pending": pending}):
        with pytest.raises(UsageError, match="after: only the first stage waits for tokens"):
            StepAssembly(LIMITS).add(step_message(make_batch(step=1, **change), make_hidden()))


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("slots", np.array([0, 4], "<i4").tobytes(), "sampled.slots: 4 is out of range; .* 0 to 3"),
        ("slots", b"123", "sampled.slots: 3 bytes"),
        ("tokens", INT32, "sampled.tokens: -1"),
        ("tokens", b"", "sampled.tokens: 0 bytes; 2 int32 take 8"),
    ],
)
def test_sampled_step_field_is_named(field: str, value: bytes, text: str) -> None:
    message = encode_sampled_step(SampledStep(StepId(3, 0, 1), np.array([0, 1], np.int32), np.array([5, 6], np.int32)))
    setattr(message, field, value)
    with pytest.raises(UsageError, match=text):
        decode_sampled_step(message, num_slots=4)


def test_sampled_step_without_an_id_is_refused() -> None:
    with pytest.raises(UsageError, match="sampled: a message without a step"):
        decode_sampled_step(stage_pb2.SampledStep(), num_slots=4)


def sampled_bytes(*values: int) -> bytes:
    return np.array(values, "<i4").tobytes()


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("sampled", sampled_bytes(limits.MAX_ROWS, 0, 0), "sampled.row: 16384 is out of range; .* 0 to 16383"),
        ("sampled", sampled_bytes(-1, 0, 0), "sampled.row: -1 is out of range"),
        ("sampled", sampled_bytes(0, limits.MAX_SLOTS, 0), "sampled.slot: 1024 is out of range"),
        ("sampled", sampled_bytes(0, 0, -1), "sampled.token: -1 is out of range"),
        ("sampled", sampled_bytes(0, 0, limits.MAX_VOCAB), "sampled.token: 1048576 is out of range"),
        ("sampled", sampled_bytes(0, 0), "result.sampled: 8 bytes of tokens, 8 of logprobs and 1 tops"),
        ("sampled", b"", "result.sampled: 0 bytes of tokens"),
        ("logprobs", b"", "result.sampled: 12 bytes of tokens, 0 of logprobs"),
        ("logprobs", bytes(15), "result.sampled: 12 bytes of tokens, 15 of logprobs"),
        ("logprobs", bytes(8 * limits.MAX_ROWS + 8), "result.sampled: length 16385 is over the limit"),
    ],
)
def test_sampled_field_is_named(field: str, value: bytes, text: str) -> None:
    message = next(encode_event(RESULT))
    setattr(message.result.header.sampled, field, value)
    with pytest.raises(UsageError, match=text):
        EventAssembly().add(message)


def test_sampled_tops_are_for_all_tokens() -> None:
    message = next(encode_event(RESULT))
    message.result.header.sampled.tops.add()
    with pytest.raises(UsageError, match="12 bytes of tokens, 8 of logprobs and 2 tops"):
        EventAssembly().add(message)


def test_first_stage_takes_no_hidden_rows() -> None:
    first = StepLimits.of(make_hello(stage=0))
    with pytest.raises(UsageError, match="hidden_width: 8"):
        StepAssembly(first).add(step_message(BATCH, make_hidden()))
    message = step_message(BATCH, None)
    message.hidden = b"1234"
    with pytest.raises(UsageError, match="rows that the header did not announce"):
        StepAssembly(first).add(message)


def test_sender_checks_hidden_rows() -> None:
    check_sent(BATCH, make_hidden(), LIMITS)
    with pytest.raises(UsageError, match=r"hidden: shape None; this stage takes \(2, 8\)"):
        check_sent(BATCH, None, LIMITS)
    with pytest.raises(UsageError, match=r"hidden: shape \(3, 8\)"):
        check_sent(BATCH, make_hidden(3), LIMITS)
    with pytest.raises(UsageError, match="hidden: float64 rows"):
        check_sent(BATCH, make_hidden().astype(np.float64), LIMITS)  # type: ignore[arg-type]


def test_embeddings_shapes_are_not_trusted() -> None:
    part = inference_pb2.EmbedPart(num_prompt_tokens=[3, 4], width=9, vectors=bytes(71))
    with pytest.raises(UsageError, match="embeddings: 71 bytes; 2 vectors of 9 float32 take 72"):
        decode_embeddings(part)
    with pytest.raises(UsageError, match="inputs: there are none"):
        decode_embed(inference_pb2.EmbedRequest())
    with pytest.raises(UsageError, match="pooling: 77 is unknown"):
        decode_embed(inference_pb2.EmbedRequest(inputs=[inference_pb2.EmbedInput(text="a")], pooling=77))
    with pytest.raises(UsageError, match="neither text nor token ids"):
        decode_embed(inference_pb2.EmbedRequest(inputs=[inference_pb2.EmbedInput()]))
    both = stage_pb2.ResultHeader(has_logits=True, has_embeddings=True)
    with pytest.raises(UsageError, match="logits and embeddings in one"):
        EventAssembly().add(stage_pb2.StageEvent(result=stage_pb2.ResultPart(header=both)))


def test_logits_shapes_are_not_trusted() -> None:
    part = inference_pb2.LogitsPart(num_rows=2, vocab_size=9, logits=bytes(71))
    with pytest.raises(UsageError, match="logits: 71 bytes; 2 rows of 9 float32 take 72"):
        decode_logits(part)
    header = stage_pb2.ResultHeader(has_logits=True, num_rows=16384, vocab_size=limits.MAX_VOCAB)
    with pytest.raises(UsageError, match=r"result.logits: 68719476736 is out of range"):
        EventAssembly().add(stage_pb2.StageEvent(result=stage_pb2.ResultPart(header=header)))


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("x" * (limits.MAX_PROMPT_BYTES + 1), "prompt: 4194305 bytes of text"),
        ("\ud800", "prompt: not valid Unicode"),
        ([-1], "prompt: -1 is no token id"),
        ([2**31], "prompt: 2147483648 is no token id"),
        ([0] * (limits.MAX_PROMPT_TOKENS + 1), "prompt: length 1048577"),
    ],
)
def test_prompt_limits(prompt: str | list[int], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        encode_generate(prompt, SamplingParams())


def test_missing_prompt() -> None:
    with pytest.raises(UsageError, match="prompt: there is none"):
        decode_generate(inference_pb2.GenerateRequest())
