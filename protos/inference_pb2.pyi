from protos import arrays_pb2 as _arrays_pb2
from protos import sampling_pb2 as _sampling_pb2
from protos import stage_pb2 as _stage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FinishReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINISH_REASON_UNSPECIFIED: _ClassVar[FinishReason]
    FINISH_REASON_STOP: _ClassVar[FinishReason]
    FINISH_REASON_LENGTH: _ClassVar[FinishReason]
    FINISH_REASON_CONTEXT: _ClassVar[FinishReason]
    FINISH_REASON_CANCELLED: _ClassVar[FinishReason]

class Pooling(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POOLING_UNSPECIFIED: _ClassVar[Pooling]
    POOLING_MEAN: _ClassVar[Pooling]
    POOLING_CLS: _ClassVar[Pooling]
    POOLING_LAST: _ClassVar[Pooling]
    POOLING_RANK: _ClassVar[Pooling]

class Protection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROTECTION_UNSPECIFIED: _ClassVar[Protection]
    PROTECTION_LOOPBACK: _ClassVar[Protection]
    PROTECTION_TLS: _ClassVar[Protection]
    PROTECTION_NONE: _ClassVar[Protection]

class SlotState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SLOTSTATE_UNSPECIFIED: _ClassVar[SlotState]
    SLOTSTATE_IDLE: _ClassVar[SlotState]
    SLOTSTATE_PROMPT: _ClassVar[SlotState]
    SLOTSTATE_GENERATING: _ClassVar[SlotState]
FINISH_REASON_UNSPECIFIED: FinishReason
FINISH_REASON_STOP: FinishReason
FINISH_REASON_LENGTH: FinishReason
FINISH_REASON_CONTEXT: FinishReason
FINISH_REASON_CANCELLED: FinishReason
POOLING_UNSPECIFIED: Pooling
POOLING_MEAN: Pooling
POOLING_CLS: Pooling
POOLING_LAST: Pooling
POOLING_RANK: Pooling
PROTECTION_UNSPECIFIED: Protection
PROTECTION_LOOPBACK: Protection
PROTECTION_TLS: Protection
PROTECTION_NONE: Protection
SLOTSTATE_UNSPECIFIED: SlotState
SLOTSTATE_IDLE: SlotState
SLOTSTATE_PROMPT: SlotState
SLOTSTATE_GENERATING: SlotState

class TokenIds(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ids: _Optional[_Iterable[int]] = ...) -> None: ...

class Segment(_message.Message):
    __slots__ = ("text", "parse_special", "picture")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PARSE_SPECIAL_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    text: str
    parse_special: bool
    picture: bytes
    def __init__(self, text: _Optional[str] = ..., parse_special: _Optional[bool] = ..., picture: _Optional[bytes] = ...) -> None: ...

class Segments(_message.Message):
    __slots__ = ("segments",)
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    segments: _containers.RepeatedCompositeFieldContainer[Segment]
    def __init__(self, segments: _Optional[_Iterable[_Union[Segment, _Mapping]]] = ...) -> None: ...

class GenerateRequest(_message.Message):
    __slots__ = ("text", "token_ids", "segments", "params", "parse_special", "add_special", "ticket", "num_received")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    PARSE_SPECIAL_FIELD_NUMBER: _ClassVar[int]
    ADD_SPECIAL_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    NUM_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    text: str
    token_ids: TokenIds
    segments: Segments
    params: _sampling_pb2.Sampling
    parse_special: bool
    add_special: bool
    ticket: bytes
    num_received: int
    def __init__(self, text: _Optional[str] = ..., token_ids: _Optional[_Union[TokenIds, _Mapping]] = ..., segments: _Optional[_Union[Segments, _Mapping]] = ..., params: _Optional[_Union[_sampling_pb2.Sampling, _Mapping]] = ..., parse_special: _Optional[bool] = ..., add_special: _Optional[bool] = ..., ticket: _Optional[bytes] = ..., num_received: _Optional[int] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("num_prompt_tokens", "num_tokens", "num_cached_tokens", "queue_ms", "prefill_ms", "decode_ms", "num_drafted", "num_accepted", "num_dropped_runs")
    NUM_PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    NUM_TOKENS_FIELD_NUMBER: _ClassVar[int]
    NUM_CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_MS_FIELD_NUMBER: _ClassVar[int]
    PREFILL_MS_FIELD_NUMBER: _ClassVar[int]
    DECODE_MS_FIELD_NUMBER: _ClassVar[int]
    NUM_DRAFTED_FIELD_NUMBER: _ClassVar[int]
    NUM_ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    NUM_DROPPED_RUNS_FIELD_NUMBER: _ClassVar[int]
    num_prompt_tokens: int
    num_tokens: int
    num_cached_tokens: int
    queue_ms: float
    prefill_ms: float
    decode_ms: float
    num_drafted: int
    num_accepted: int
    num_dropped_runs: int
    def __init__(self, num_prompt_tokens: _Optional[int] = ..., num_tokens: _Optional[int] = ..., num_cached_tokens: _Optional[int] = ..., queue_ms: _Optional[float] = ..., prefill_ms: _Optional[float] = ..., decode_ms: _Optional[float] = ..., num_drafted: _Optional[int] = ..., num_accepted: _Optional[int] = ..., num_dropped_runs: _Optional[int] = ...) -> None: ...

class TokenEvent(_message.Message):
    __slots__ = ("token", "text", "logprob", "top", "finish_reason", "timings", "stop_string", "prompt", "prompt_logprobs")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LOGPROB_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    STOP_STRING_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    token: int
    text: str
    logprob: float
    top: _sampling_pb2.TopLogprobs
    finish_reason: FinishReason
    timings: Timings
    stop_string: str
    prompt: PromptCounts
    prompt_logprobs: PromptLogprobs
    def __init__(self, token: _Optional[int] = ..., text: _Optional[str] = ..., logprob: _Optional[float] = ..., top: _Optional[_Union[_sampling_pb2.TopLogprobs, _Mapping]] = ..., finish_reason: _Optional[_Union[FinishReason, str]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., stop_string: _Optional[str] = ..., prompt: _Optional[_Union[PromptCounts, _Mapping]] = ..., prompt_logprobs: _Optional[_Union[PromptLogprobs, _Mapping]] = ...) -> None: ...

class PromptCounts(_message.Message):
    __slots__ = ("num_prompt_tokens", "num_cached_tokens", "num_computed")
    NUM_PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    NUM_CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    NUM_COMPUTED_FIELD_NUMBER: _ClassVar[int]
    num_prompt_tokens: int
    num_cached_tokens: int
    num_computed: int
    def __init__(self, num_prompt_tokens: _Optional[int] = ..., num_cached_tokens: _Optional[int] = ..., num_computed: _Optional[int] = ...) -> None: ...

class PromptLogprobs(_message.Message):
    __slots__ = ("tokens", "logprobs", "tops")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    TOPS_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedScalarFieldContainer[int]
    logprobs: _containers.RepeatedScalarFieldContainer[float]
    tops: _containers.RepeatedCompositeFieldContainer[_sampling_pb2.TopLogprobs]
    def __init__(self, tokens: _Optional[_Iterable[int]] = ..., logprobs: _Optional[_Iterable[float]] = ..., tops: _Optional[_Iterable[_Union[_sampling_pb2.TopLogprobs, _Mapping]]] = ...) -> None: ...

class GenerateEvents(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[TokenEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[TokenEvent, _Mapping]]] = ...) -> None: ...

class CompleteRequest(_message.Message):
    __slots__ = ("requests", "ended")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[GenerateRequest]
    ended: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, requests: _Optional[_Iterable[_Union[GenerateRequest, _Mapping]]] = ..., ended: _Optional[_Iterable[int]] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("tickets",)
    TICKETS_FIELD_NUMBER: _ClassVar[int]
    tickets: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, tickets: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CancelReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Failure(_message.Message):
    __slots__ = ("kind", "message")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    message: str
    def __init__(self, kind: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("request", "events", "failure")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    request: int
    events: _containers.RepeatedCompositeFieldContainer[TokenEvent]
    failure: Failure
    def __init__(self, request: _Optional[int] = ..., events: _Optional[_Iterable[_Union[TokenEvent, _Mapping]]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class CompleteAnswers(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[Answer]
    def __init__(self, answers: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ...) -> None: ...

class LogitsRequest(_message.Message):
    __slots__ = ("token_ids",)
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    token_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, token_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class LogitsPart(_message.Message):
    __slots__ = ("num_rows", "vocab_size", "logits")
    NUM_ROWS_FIELD_NUMBER: _ClassVar[int]
    VOCAB_SIZE_FIELD_NUMBER: _ClassVar[int]
    LOGITS_FIELD_NUMBER: _ClassVar[int]
    num_rows: int
    vocab_size: int
    logits: bytes
    def __init__(self, num_rows: _Optional[int] = ..., vocab_size: _Optional[int] = ..., logits: _Optional[bytes] = ...) -> None: ...

class Pair(_message.Message):
    __slots__ = ("query", "document")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    query: str
    document: str
    def __init__(self, query: _Optional[str] = ..., document: _Optional[str] = ...) -> None: ...

class EmbedInput(_message.Message):
    __slots__ = ("text", "token_ids", "segments", "pair")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    text: str
    token_ids: TokenIds
    segments: Segments
    pair: Pair
    def __init__(self, text: _Optional[str] = ..., token_ids: _Optional[_Union[TokenIds, _Mapping]] = ..., segments: _Optional[_Union[Segments, _Mapping]] = ..., pair: _Optional[_Union[Pair, _Mapping]] = ...) -> None: ...

class EmbedRequest(_message.Message):
    __slots__ = ("inputs", "pooling")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    POOLING_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[EmbedInput]
    pooling: Pooling
    def __init__(self, inputs: _Optional[_Iterable[_Union[EmbedInput, _Mapping]]] = ..., pooling: _Optional[_Union[Pooling, str]] = ...) -> None: ...

class EmbedPart(_message.Message):
    __slots__ = ("num_prompt_tokens", "width", "vectors")
    NUM_PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    num_prompt_tokens: _containers.RepeatedScalarFieldContainer[int]
    width: int
    vectors: bytes
    def __init__(self, num_prompt_tokens: _Optional[_Iterable[int]] = ..., width: _Optional[int] = ..., vectors: _Optional[bytes] = ...) -> None: ...

class TokenizeRequest(_message.Message):
    __slots__ = ("text", "segments", "add_special", "parse_special")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    ADD_SPECIAL_FIELD_NUMBER: _ClassVar[int]
    PARSE_SPECIAL_FIELD_NUMBER: _ClassVar[int]
    text: str
    segments: Segments
    add_special: bool
    parse_special: bool
    def __init__(self, text: _Optional[str] = ..., segments: _Optional[_Union[Segments, _Mapping]] = ..., add_special: _Optional[bool] = ..., parse_special: _Optional[bool] = ...) -> None: ...

class TokenizeReply(_message.Message):
    __slots__ = ("token_ids",)
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    token_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, token_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class DetokenizeRequest(_message.Message):
    __slots__ = ("token_ids",)
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    token_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, token_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class DetokenizeReply(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ModelReply(_message.Message):
    __slots__ = ("name", "hash", "architecture", "context_length", "context_length_train", "hidden_width", "vocab_size", "vocab_type", "num_parameters", "size_bytes", "file_type", "bos", "eos", "end_tokens", "add_bos", "chat_templates", "metadata", "adapters", "takes_pictures")
    class ChatTemplatesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_LENGTH_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_LENGTH_TRAIN_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_WIDTH_FIELD_NUMBER: _ClassVar[int]
    VOCAB_SIZE_FIELD_NUMBER: _ClassVar[int]
    VOCAB_TYPE_FIELD_NUMBER: _ClassVar[int]
    NUM_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILE_TYPE_FIELD_NUMBER: _ClassVar[int]
    BOS_FIELD_NUMBER: _ClassVar[int]
    EOS_FIELD_NUMBER: _ClassVar[int]
    END_TOKENS_FIELD_NUMBER: _ClassVar[int]
    ADD_BOS_FIELD_NUMBER: _ClassVar[int]
    CHAT_TEMPLATES_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    TAKES_PICTURES_FIELD_NUMBER: _ClassVar[int]
    name: str
    hash: str
    architecture: str
    context_length: int
    context_length_train: int
    hidden_width: int
    vocab_size: int
    vocab_type: int
    num_parameters: int
    size_bytes: int
    file_type: str
    bos: int
    eos: int
    end_tokens: _containers.RepeatedScalarFieldContainer[int]
    add_bos: bool
    chat_templates: _containers.ScalarMap[str, str]
    metadata: _containers.ScalarMap[str, str]
    adapters: _containers.RepeatedCompositeFieldContainer[AdapterInfo]
    takes_pictures: bool
    def __init__(self, name: _Optional[str] = ..., hash: _Optional[str] = ..., architecture: _Optional[str] = ..., context_length: _Optional[int] = ..., context_length_train: _Optional[int] = ..., hidden_width: _Optional[int] = ..., vocab_size: _Optional[int] = ..., vocab_type: _Optional[int] = ..., num_parameters: _Optional[int] = ..., size_bytes: _Optional[int] = ..., file_type: _Optional[str] = ..., bos: _Optional[int] = ..., eos: _Optional[int] = ..., end_tokens: _Optional[_Iterable[int]] = ..., add_bos: _Optional[bool] = ..., chat_templates: _Optional[_Mapping[str, str]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., adapters: _Optional[_Iterable[_Union[AdapterInfo, _Mapping]]] = ..., takes_pictures: _Optional[bool] = ...) -> None: ...

class AdapterInfo(_message.Message):
    __slots__ = ("name", "scale")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    name: str
    scale: float
    def __init__(self, name: _Optional[str] = ..., scale: _Optional[float] = ...) -> None: ...

class AdaptersRequest(_message.Message):
    __slots__ = ("scales",)
    SCALES_FIELD_NUMBER: _ClassVar[int]
    scales: _sampling_pb2.Scales
    def __init__(self, scales: _Optional[_Union[_sampling_pb2.Scales, _Mapping]] = ...) -> None: ...

class AdaptersReply(_message.Message):
    __slots__ = ("adapters",)
    ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    adapters: _containers.RepeatedCompositeFieldContainer[AdapterInfo]
    def __init__(self, adapters: _Optional[_Iterable[_Union[AdapterInfo, _Mapping]]] = ...) -> None: ...

class VocabularyRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VocabularyPart(_message.Message):
    __slots__ = ("lengths", "pieces", "kinds")
    LENGTHS_FIELD_NUMBER: _ClassVar[int]
    PIECES_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    lengths: _containers.RepeatedScalarFieldContainer[int]
    pieces: bytes
    kinds: bytes
    def __init__(self, lengths: _Optional[_Iterable[int]] = ..., pieces: _Optional[bytes] = ..., kinds: _Optional[bytes] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StageActivity(_message.Message):
    __slots__ = ("busy_fraction", "step_ms", "num_steps", "num_rows", "busy_s", "wait_ms", "hop_ms")
    BUSY_FRACTION_FIELD_NUMBER: _ClassVar[int]
    STEP_MS_FIELD_NUMBER: _ClassVar[int]
    NUM_STEPS_FIELD_NUMBER: _ClassVar[int]
    NUM_ROWS_FIELD_NUMBER: _ClassVar[int]
    BUSY_S_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    HOP_MS_FIELD_NUMBER: _ClassVar[int]
    busy_fraction: float
    step_ms: float
    num_steps: int
    num_rows: int
    busy_s: float
    wait_ms: float
    hop_ms: float
    def __init__(self, busy_fraction: _Optional[float] = ..., step_ms: _Optional[float] = ..., num_steps: _Optional[int] = ..., num_rows: _Optional[int] = ..., busy_s: _Optional[float] = ..., wait_ms: _Optional[float] = ..., hop_ms: _Optional[float] = ...) -> None: ...

class StageStatus(_message.Message):
    __slots__ = ("facts", "activity", "address")
    FACTS_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    facts: _stage_pb2.StageFacts
    activity: StageActivity
    address: str
    def __init__(self, facts: _Optional[_Union[_stage_pb2.StageFacts, _Mapping]] = ..., activity: _Optional[_Union[StageActivity, _Mapping]] = ..., address: _Optional[str] = ...) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("protocol_version", "model", "model_hash", "architecture", "health", "address", "epoch", "context_length", "num_slots", "num_slots_used", "num_waiting", "num_requests", "num_tokens", "uptime_s", "vocab_size", "stages", "protection", "row_bytes", "plan", "num_recoveries", "lost_s", "num_replayed", "draft", "num_drafted", "num_accepted", "num_dropped_runs")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_HASH_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_LENGTH_FIELD_NUMBER: _ClassVar[int]
    NUM_SLOTS_FIELD_NUMBER: _ClassVar[int]
    NUM_SLOTS_USED_FIELD_NUMBER: _ClassVar[int]
    NUM_WAITING_FIELD_NUMBER: _ClassVar[int]
    NUM_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    NUM_TOKENS_FIELD_NUMBER: _ClassVar[int]
    UPTIME_S_FIELD_NUMBER: _ClassVar[int]
    VOCAB_SIZE_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    PROTECTION_FIELD_NUMBER: _ClassVar[int]
    ROW_BYTES_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    NUM_RECOVERIES_FIELD_NUMBER: _ClassVar[int]
    LOST_S_FIELD_NUMBER: _ClassVar[int]
    NUM_REPLAYED_FIELD_NUMBER: _ClassVar[int]
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    NUM_DRAFTED_FIELD_NUMBER: _ClassVar[int]
    NUM_ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    NUM_DROPPED_RUNS_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    model: str
    model_hash: str
    architecture: str
    health: _stage_pb2.Health
    address: str
    epoch: int
    context_length: int
    num_slots: int
    num_slots_used: int
    num_waiting: int
    num_requests: int
    num_tokens: int
    uptime_s: float
    vocab_size: int
    stages: _containers.RepeatedCompositeFieldContainer[StageStatus]
    protection: Protection
    row_bytes: int
    plan: str
    num_recoveries: int
    lost_s: float
    num_replayed: int
    draft: str
    num_drafted: int
    num_accepted: int
    num_dropped_runs: int
    def __init__(self, protocol_version: _Optional[int] = ..., model: _Optional[str] = ..., model_hash: _Optional[str] = ..., architecture: _Optional[str] = ..., health: _Optional[_Union[_stage_pb2.Health, _Mapping]] = ..., address: _Optional[str] = ..., epoch: _Optional[int] = ..., context_length: _Optional[int] = ..., num_slots: _Optional[int] = ..., num_slots_used: _Optional[int] = ..., num_waiting: _Optional[int] = ..., num_requests: _Optional[int] = ..., num_tokens: _Optional[int] = ..., uptime_s: _Optional[float] = ..., vocab_size: _Optional[int] = ..., stages: _Optional[_Iterable[_Union[StageStatus, _Mapping]]] = ..., protection: _Optional[_Union[Protection, str]] = ..., row_bytes: _Optional[int] = ..., plan: _Optional[str] = ..., num_recoveries: _Optional[int] = ..., lost_s: _Optional[float] = ..., num_replayed: _Optional[int] = ..., draft: _Optional[str] = ..., num_drafted: _Optional[int] = ..., num_accepted: _Optional[int] = ..., num_dropped_runs: _Optional[int] = ...) -> None: ...

class SlotsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SlotStatus(_message.Message):
    __slots__ = ("id", "state", "num_prompt_tokens", "num_cached_tokens", "num_computed", "num_generated", "age_s")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    NUM_PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    NUM_CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    NUM_COMPUTED_FIELD_NUMBER: _ClassVar[int]
    NUM_GENERATED_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    id: int
    state: SlotState
    num_prompt_tokens: int
    num_cached_tokens: int
    num_computed: int
    num_generated: int
    age_s: float
    def __init__(self, id: _Optional[int] = ..., state: _Optional[_Union[SlotState, str]] = ..., num_prompt_tokens: _Optional[int] = ..., num_cached_tokens: _Optional[int] = ..., num_computed: _Optional[int] = ..., num_generated: _Optional[int] = ..., age_s: _Optional[float] = ...) -> None: ...

class SlotsReply(_message.Message):
    __slots__ = ("slots",)
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    slots: _containers.RepeatedCompositeFieldContainer[SlotStatus]
    def __init__(self, slots: _Optional[_Iterable[_Union[SlotStatus, _Mapping]]] = ...) -> None: ...

class IntervalsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IntervalsReply(_message.Message):
    __slots__ = ("intervals",)
    INTERVALS_FIELD_NUMBER: _ClassVar[int]
    intervals: _containers.RepeatedCompositeFieldContainer[_stage_pb2.StepTiming]
    def __init__(self, intervals: _Optional[_Iterable[_Union[_stage_pb2.StepTiming, _Mapping]]] = ...) -> None: ...
