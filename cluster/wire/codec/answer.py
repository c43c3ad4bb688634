"""What clients are answered with: token events, of one prompt or of several <-> protobuf."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cluster.api.errors import ClusterError, UsageError, error_named
from cluster.api.results import FinishReason, PromptCounts, Timings, TokenEvent
from cluster.wire import limits
from cluster.wire.codec.prompt_logprobs import decode_prompt_logprobs, encode_prompt_logprobs
from cluster.wire.codec.record import fields_of, record_of
from cluster.wire.codec.sampling import decode_top, encode_top
from cluster.wire.limits import check_length, check_range
from cluster.wire.transport.status import detail_of, name_of
from ggml.sampling.lists import MAX_STOP_BYTES
from protos import inference_pb2

Output = TokenEvent | ClusterError


# The most that an event's place in a message adds to it: the field's number, and a length below 2**28.
_HEADER_BYTES = 5
_REASONS = {reason: f"FINISH_REASON_{reason.name}" for reason in FinishReason}
_REASON_OF_NUMBER = {inference_pb2.FinishReason.Value(name): reason for reason, name in _REASONS.items()}


def is_last(output: Output) -> bool:
    """Whether it ends its request."""
    return isinstance(output, ClusterError) or output.finish_reason is not None


def encode_events(events: Sequence[TokenEvent]) -> Iterator[inference_pb2.GenerateEvents]:
    """Messages with the events in order; one that has reached PART_BYTES gets no further event."""
    message, size_bytes = inference_pb2.GenerateEvents(), 0
    for event in events:
        if size_bytes >= limits.PART_BYTES:
            yield message
            message, size_bytes = inference_pb2.GenerateEvents(), 0
        size_bytes += _add_event(message, event)
    if message.events:
        yield message


def decode_events(message: inference_pb2.GenerateEvents) -> list[TokenEvent]:
    return [_decode_event(event) for event in message.events]


def encode_answers(outputs: Mapping[int, Sequence[Output]]) -> Iterator[inference_pb2.CompleteAnswers]:
    """Messages with the outputs of each request; one that has reached PART_BYTES gets no further output."""
    message, size_bytes = inference_pb2.CompleteAnswers(), 0
    for request, of_request in outputs.items():
        answer = message.answers.add(request=request)
        for output in of_request:
            if size_bytes >= limits.PART_BYTES:
                yield message
                message, size_bytes = inference_pb2.CompleteAnswers(), 0
                answer = message.answers.add(request=request)
            if isinstance(output, ClusterError):
                failure = inference_pb2.Failure(kind=name_of(output), message=detail_of(output))
                answer.failure.CopyFrom(failure)
                size_bytes += failure.ByteSize() + _HEADER_BYTES
            else:
                size_bytes += _add_event(answer, output)
        size_bytes += 2 * _HEADER_BYTES
    if message.answers:
        yield message


def decode_answers(message: inference_pb2.CompleteAnswers, num_requests: int) -> dict[int, list[Output]]:
    """The outputs by request, those of each in order."""
    found: dict[int, list[Output]] = {}
    for answer in message.answers:
        request = check_range("answer.request", answer.request, 0, num_requests - 1)
        outputs = found.setdefault(request, [])
        outputs.extend(map(_decode_event, answer.events))
        if answer.HasField("failure"):
            check_length("failure.message", answer.failure.message, limits.MAX_REASON_CHARS)
            outputs.append(error_named(answer.failure.kind, answer.failure.message))
    return found


def _add_event(message: inference_pb2.GenerateEvents | inference_pb2.Answer, event: TokenEvent) -> int:
    """The event, made in its place: one made elsewhere would be copied there, for half of the time. Bytes added."""
    added = message.events.add(
        token=event.token,
        text=event.text,
        logprob=event.logprob,
        top=encode_top(event.top),
        finish_reason=None if event.finish_reason is None else _REASONS[event.finish_reason],
        timings=None if event.timings is None else fields_of(event.timings),
        stop_string=event.stop_string,
        prompt=None if event.prompt is None else fields_of(event.prompt),
        prompt_logprobs=encode_prompt_logprobs(event.prompt_logprobs) if event.prompt_logprobs else None,
    )
    return added.ByteSize() + _HEADER_BYTES


def _decode_event(message: inference_pb2.TokenEvent) -> TokenEvent:
    check_length("event.text", message.text, limits.MAX_TEXT_BYTES)
    timings = record_of(Timings, message.timings, "timings") if message.HasField("timings") else None
    prompt = record_of(PromptCounts, message.prompt, "prompt") if message.HasField("prompt") else None
    has_token = message.HasField("token")
    check_length("event.stop_string", message.stop_string, MAX_STOP_BYTES)
    return TokenEvent(
        token=check_range("event.token", message.token, 0, limits.MAX_INT32) if has_token else None,
        text=message.text,
        logprob=message.logprob if message.HasField("logprob") else None,
        top=decode_top(message.top),
        finish_reason=_decode_reason(message.finish_reason),
        timings=timings,
        stop_string=message.stop_string if message.HasField("stop_string") else None,
        prompt=prompt,
        prompt_logprobs=decode_prompt_logprobs(message.prompt_logprobs) if message.HasField("prompt_logprobs") else (),
    )


def _decode_reason(number: int) -> FinishReason | None:
    if number == inference_pb2.FINISH_REASON_UNSPECIFIED:
        return None
    if number not in _REASON_OF_NUMBER:
        raise UsageError(f"event.finish_reason: {number} is unknown; run the same version on both ends")
    return _REASON_OF_NUMBER[number]
