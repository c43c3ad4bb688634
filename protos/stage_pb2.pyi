from protos import arrays_pb2 as _arrays_pb2
from protos import sampling_pb2 as _sampling_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Condition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONDITION_UNSPECIFIED: _ClassVar[Condition]
    CONDITION_READY: _ClassVar[Condition]
    CONDITION_DEGRADED: _ClassVar[Condition]
    CONDITION_LOST: _ClassVar[Condition]
    CONDITION_RECOVERING: _ClassVar[Condition]
CONDITION_UNSPECIFIED: Condition
CONDITION_READY: Condition
CONDITION_DEGRADED: Condition
CONDITION_LOST: Condition
CONDITION_RECOVERING: Condition

class Hello(_message.Message):
    __slots__ = ("protocol_version", "model_hash", "build", "epoch", "stage", "num_stages", "first", "end", "hidden_width", "wire_dtype", "num_slots", "context_length", "picture_width", "invitation")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_HASH_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    NUM_STAGES_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_WIDTH_FIELD_NUMBER: _ClassVar[int]
    WIRE_DTYPE_FIELD_NUMBER: _ClassVar[int]
    NUM_SLOTS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_LENGTH_FIELD_NUMBER: _ClassVar[int]
    PICTURE_WIDTH_FIELD_NUMBER: _ClassVar[int]
    INVITATION_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    model_hash: str
    build: str
    epoch: int
    stage: int
    num_stages: int
    first: int
    end: int
    hidden_width: int
    wire_dtype: str
    num_slots: int
    context_length: int
    picture_width: int
    invitation: Invitation
    def __init__(self, protocol_version: _Optional[int] = ..., model_hash: _Optional[str] = ..., build: _Optional[str] = ..., epoch: _Optional[int] = ..., stage: _Optional[int] = ..., num_stages: _Optional[int] = ..., first: _Optional[int] = ..., end: _Optional[int] = ..., hidden_width: _Optional[int] = ..., wire_dtype: _Optional[str] = ..., num_slots: _Optional[int] = ..., context_length: _Optional[int] = ..., picture_width: _Optional[int] = ..., invitation: _Optional[_Union[Invitation, _Mapping]] = ...) -> None: ...

class Invitation(_message.Message):
    __slots__ = ("name", "ticket")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    ticket: bytes
    def __init__(self, name: _Optional[bytes] = ..., ticket: _Optional[bytes] = ...) -> None: ...

class HelloAck(_message.Message):
    __slots__ = ("epoch", "has_come")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HAS_COME_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    has_come: bool
    def __init__(self, epoch: _Optional[int] = ..., has_come: _Optional[bool] = ...) -> None: ...

class StageAddress(_message.Message):
    __slots__ = ("address", "hello", "node")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    address: str
    hello: Hello
    node: str
    def __init__(self, address: _Optional[str] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., node: _Optional[str] = ...) -> None: ...

class Callers(_message.Message):
    __slots__ = ("upstream", "coordinator", "first")
    UPSTREAM_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    upstream: str
    coordinator: str
    first: str
    def __init__(self, upstream: _Optional[str] = ..., coordinator: _Optional[str] = ..., first: _Optional[str] = ...) -> None: ...

class WireRequest(_message.Message):
    __slots__ = ("hello", "downstream", "last", "callers")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    DOWNSTREAM_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    CALLERS_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    downstream: StageAddress
    last: StageAddress
    callers: Callers
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., downstream: _Optional[_Union[StageAddress, _Mapping]] = ..., last: _Optional[_Union[StageAddress, _Mapping]] = ..., callers: _Optional[_Union[Callers, _Mapping]] = ...) -> None: ...

class StepId(_message.Message):
    __slots__ = ("epoch", "microbatch", "step")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    MICROBATCH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    microbatch: int
    step: int
    def __init__(self, epoch: _Optional[int] = ..., microbatch: _Optional[int] = ..., step: _Optional[int] = ...) -> None: ...

class SlotSampling(_message.Message):
    __slots__ = ("slot", "params", "num_prompt_tokens")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    NUM_PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    slot: int
    params: _sampling_pb2.Sampling
    num_prompt_tokens: int
    def __init__(self, slot: _Optional[int] = ..., params: _Optional[_Union[_sampling_pb2.Sampling, _Mapping]] = ..., num_prompt_tokens: _Optional[int] = ...) -> None: ...

class SlotStart(_message.Message):
    __slots__ = ("slot", "source", "length")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    slot: int
    source: int
    length: int
    def __init__(self, slot: _Optional[int] = ..., source: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class SlotFailure(_message.Message):
    __slots__ = ("slot", "kind", "reason")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    slot: int
    kind: str
    reason: str
    def __init__(self, slot: _Optional[int] = ..., kind: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SlotPicture(_message.Message):
    __slots__ = ("slot", "first", "width", "height")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    slot: int
    first: int
    width: int
    height: int
    def __init__(self, slot: _Optional[int] = ..., first: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class StepHeader(_message.Message):
    __slots__ = ("id", "num_rows", "tokens", "positions", "slots", "wants_logits", "samples", "returns_logits", "new_sampling", "slot_starts", "hidden_width", "exclusive", "after", "failures", "scores", "targets", "embeds", "pools", "scales", "restores", "is_pictured", "pictures", "non_causal", "is_guessed", "pending")
    ID_FIELD_NUMBER: _ClassVar[int]
    NUM_ROWS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    WANTS_LOGITS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    RETURNS_LOGITS_FIELD_NUMBER: _ClassVar[int]
    NEW_SAMPLING_FIELD_NUMBER: _ClassVar[int]
    SLOT_STARTS_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_WIDTH_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    EMBEDS_FIELD_NUMBER: _ClassVar[int]
    POOLS_FIELD_NUMBER: _ClassVar[int]
    SCALES_FIELD_NUMBER: _ClassVar[int]
    RESTORES_FIELD_NUMBER: _ClassVar[int]
    IS_PICTURED_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    NON_CAUSAL_FIELD_NUMBER: _ClassVar[int]
    IS_GUESSED_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    id: StepId
    num_rows: int
    tokens: bytes
    positions: bytes
    slots: bytes
    wants_logits: bytes
    samples: bytes
    returns_logits: bytes
    new_sampling: _containers.RepeatedCompositeFieldContainer[SlotSampling]
    slot_starts: _containers.RepeatedCompositeFieldContainer[SlotStart]
    hidden_width: int
    exclusive: bool
    after: int
    failures: _containers.RepeatedCompositeFieldContainer[SlotFailure]
    scores: bytes
    targets: bytes
    embeds: bool
    pools: bytes
    scales: _containers.RepeatedScalarFieldContainer[float]
    restores: _containers.RepeatedScalarFieldContainer[int]
    is_pictured: bool
    pictures: _containers.RepeatedCompositeFieldContainer[SlotPicture]
    non_causal: bool
    is_guessed: bool
    pending: bytes
    def __init__(self, id: _Optional[_Union[StepId, _Mapping]] = ..., num_rows: _Optional[int] = ..., tokens: _Optional[bytes] = ..., positions: _Optional[bytes] = ..., slots: _Optional[bytes] = ..., wants_logits: _Optional[bytes] = ..., samples: _Optional[bytes] = ..., returns_logits: _Optional[bytes] = ..., new_sampling: _Optional[_Iterable[_Union[SlotSampling, _Mapping]]] = ..., slot_starts: _Optional[_Iterable[_Union[SlotStart, _Mapping]]] = ..., hidden_width: _Optional[int] = ..., exclusive: _Optional[bool] = ..., after: _Optional[int] = ..., failures: _Optional[_Iterable[_Union[SlotFailure, _Mapping]]] = ..., scores: _Optional[bytes] = ..., targets: _Optional[bytes] = ..., embeds: _Optional[bool] = ..., pools: _Optional[bytes] = ..., scales: _Optional[_Iterable[float]] = ..., restores: _Optional[_Iterable[int]] = ..., is_pictured: _Optional[bool] = ..., pictures: _Optional[_Iterable[_Union[SlotPicture, _Mapping]]] = ..., non_causal: _Optional[bool] = ..., is_guessed: _Optional[bool] = ..., pending: _Optional[bytes] = ...) -> None: ...

class ProgramPart(_message.Message):
    __slots__ = ("header", "arrays")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ARRAYS_FIELD_NUMBER: _ClassVar[int]
    header: ProgramHeader
    arrays: _arrays_pb2.ArraysPart
    def __init__(self, header: _Optional[_Union[ProgramHeader, _Mapping]] = ..., arrays: _Optional[_Union[_arrays_pb2.ArraysPart, _Mapping]] = ...) -> None: ...

class ProgramHeader(_message.Message):
    __slots__ = ("id", "symbols", "failure")
    ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    id: StepId
    symbols: _containers.RepeatedScalarFieldContainer[int]
    failure: CallFailure
    def __init__(self, id: _Optional[_Union[StepId, _Mapping]] = ..., symbols: _Optional[_Iterable[int]] = ..., failure: _Optional[_Union[CallFailure, _Mapping]] = ...) -> None: ...

class CallFailure(_message.Message):
    __slots__ = ("kind", "reason")
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    kind: str
    reason: str
    def __init__(self, kind: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class StepMessage(_message.Message):
    __slots__ = ("hello", "header", "program", "hidden")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    header: StepHeader
    program: ProgramPart
    hidden: bytes
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., header: _Optional[_Union[StepHeader, _Mapping]] = ..., program: _Optional[_Union[ProgramPart, _Mapping]] = ..., hidden: _Optional[bytes] = ...) -> None: ...

class StepAck(_message.Message):
    __slots__ = ("hello",)
    HELLO_FIELD_NUMBER: _ClassVar[int]
    hello: HelloAck
    def __init__(self, hello: _Optional[_Union[HelloAck, _Mapping]] = ...) -> None: ...

class SampledTokens(_message.Message):
    __slots__ = ("sampled", "logprobs", "tops")
    SAMPLED_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    TOPS_FIELD_NUMBER: _ClassVar[int]
    sampled: bytes
    logprobs: bytes
    tops: _containers.RepeatedCompositeFieldContainer[_sampling_pb2.TopLogprobs]
    def __init__(self, sampled: _Optional[bytes] = ..., logprobs: _Optional[bytes] = ..., tops: _Optional[_Iterable[_Union[_sampling_pb2.TopLogprobs, _Mapping]]] = ...) -> None: ...

class ResultHeader(_message.Message):
    __slots__ = ("id", "sampled", "has_logits", "num_rows", "vocab_size", "failures", "scored", "has_embeddings")
    ID_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_FIELD_NUMBER: _ClassVar[int]
    HAS_LOGITS_FIELD_NUMBER: _ClassVar[int]
    NUM_ROWS_FIELD_NUMBER: _ClassVar[int]
    VOCAB_SIZE_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    SCORED_FIELD_NUMBER: _ClassVar[int]
    HAS_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    id: StepId
    sampled: SampledTokens
    has_logits: bool
    num_rows: int
    vocab_size: int
    failures: _containers.RepeatedCompositeFieldContainer[SlotFailure]
    scored: SampledTokens
    has_embeddings: bool
    def __init__(self, id: _Optional[_Union[StepId, _Mapping]] = ..., sampled: _Optional[_Union[SampledTokens, _Mapping]] = ..., has_logits: _Optional[bool] = ..., num_rows: _Optional[int] = ..., vocab_size: _Optional[int] = ..., failures: _Optional[_Iterable[_Union[SlotFailure, _Mapping]]] = ..., scored: _Optional[_Union[SampledTokens, _Mapping]] = ..., has_embeddings: _Optional[bool] = ...) -> None: ...

class ResultPart(_message.Message):
    __slots__ = ("header", "logits")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    LOGITS_FIELD_NUMBER: _ClassVar[int]
    header: ResultHeader
    logits: bytes
    def __init__(self, header: _Optional[_Union[ResultHeader, _Mapping]] = ..., logits: _Optional[bytes] = ...) -> None: ...

class StepTiming(_message.Message):
    __slots__ = ("id", "stage", "num_rows", "start_ns", "end_ns", "received_ns", "waited")
    ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    NUM_ROWS_FIELD_NUMBER: _ClassVar[int]
    START_NS_FIELD_NUMBER: _ClassVar[int]
    END_NS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_NS_FIELD_NUMBER: _ClassVar[int]
    WAITED_FIELD_NUMBER: _ClassVar[int]
    id: StepId
    stage: int
    num_rows: int
    start_ns: int
    end_ns: int
    received_ns: int
    waited: bool
    def __init__(self, id: _Optional[_Union[StepId, _Mapping]] = ..., stage: _Optional[int] = ..., num_rows: _Optional[int] = ..., start_ns: _Optional[int] = ..., end_ns: _Optional[int] = ..., received_ns: _Optional[int] = ..., waited: _Optional[bool] = ...) -> None: ...

class StageFailure(_message.Message):
    __slots__ = ("stage", "epoch", "reason")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    stage: int
    epoch: int
    reason: str
    def __init__(self, stage: _Optional[int] = ..., epoch: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class StepTimings(_message.Message):
    __slots__ = ("timings",)
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    timings: _containers.RepeatedCompositeFieldContainer[StepTiming]
    def __init__(self, timings: _Optional[_Iterable[_Union[StepTiming, _Mapping]]] = ...) -> None: ...

class StageEvent(_message.Message):
    __slots__ = ("hello", "timings", "result", "failure", "program")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    hello: HelloAck
    timings: StepTimings
    result: ResultPart
    failure: StageFailure
    program: ProgramPart
    def __init__(self, hello: _Optional[_Union[HelloAck, _Mapping]] = ..., timings: _Optional[_Union[StepTimings, _Mapping]] = ..., result: _Optional[_Union[ResultPart, _Mapping]] = ..., failure: _Optional[_Union[StageFailure, _Mapping]] = ..., program: _Optional[_Union[ProgramPart, _Mapping]] = ...) -> None: ...

class SampledStep(_message.Message):
    __slots__ = ("hello", "id", "slots", "tokens")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    hello: HelloAck
    id: StepId
    slots: bytes
    tokens: bytes
    def __init__(self, hello: _Optional[_Union[HelloAck, _Mapping]] = ..., id: _Optional[_Union[StepId, _Mapping]] = ..., slots: _Optional[bytes] = ..., tokens: _Optional[bytes] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HoldRequest(_message.Message):
    __slots__ = ("epoch",)
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    def __init__(self, epoch: _Optional[int] = ...) -> None: ...

class Holdings(_message.Message):
    __slots__ = ("epoch", "kept")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    kept: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, epoch: _Optional[int] = ..., kept: _Optional[_Iterable[int]] = ...) -> None: ...

class CompileRequest(_message.Message):
    __slots__ = ("grammar",)
    GRAMMAR_FIELD_NUMBER: _ClassVar[int]
    grammar: str
    def __init__(self, grammar: _Optional[str] = ...) -> None: ...

class CompileReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Health(_message.Message):
    __slots__ = ("condition", "reason")
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    condition: Condition
    reason: str
    def __init__(self, condition: _Optional[_Union[Condition, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class StageFacts(_message.Message):
    __slots__ = ("stage", "node", "device", "first", "end", "health", "pid", "weight_bytes", "kv_bytes", "compute_bytes", "rss_bytes")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_BYTES_FIELD_NUMBER: _ClassVar[int]
    KV_BYTES_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_BYTES_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    stage: int
    node: str
    device: str
    first: int
    end: int
    health: Health
    pid: int
    weight_bytes: int
    kv_bytes: int
    compute_bytes: int
    rss_bytes: int
    def __init__(self, stage: _Optional[int] = ..., node: _Optional[str] = ..., device: _Optional[str] = ..., first: _Optional[int] = ..., end: _Optional[int] = ..., health: _Optional[_Union[Health, _Mapping]] = ..., pid: _Optional[int] = ..., weight_bytes: _Optional[int] = ..., kv_bytes: _Optional[int] = ..., compute_bytes: _Optional[int] = ..., rss_bytes: _Optional[int] = ...) -> None: ...
