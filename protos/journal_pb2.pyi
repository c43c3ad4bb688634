from protos import inference_pb2 as _inference_pb2
from protos import sampling_pb2 as _sampling_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JournalRecord(_message.Message):
    __slots__ = ("header", "begin", "tokens", "events", "end", "again")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    header: JournalHeader
    begin: JournalBegin
    tokens: JournalTokens
    events: JournalEvents
    end: JournalEnd
    again: JournalTry
    def __init__(self, header: _Optional[_Union[JournalHeader, _Mapping]] = ..., begin: _Optional[_Union[JournalBegin, _Mapping]] = ..., tokens: _Optional[_Union[JournalTokens, _Mapping]] = ..., events: _Optional[_Union[JournalEvents, _Mapping]] = ..., end: _Optional[_Union[JournalEnd, _Mapping]] = ..., again: _Optional[_Union[JournalTry, _Mapping]] = ...) -> None: ...

class JournalHeader(_message.Message):
    __slots__ = ("version", "identity")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    version: int
    identity: str
    def __init__(self, version: _Optional[int] = ..., identity: _Optional[str] = ...) -> None: ...

class JournalBegin(_message.Message):
    __slots__ = ("serial", "ticket", "token_ids", "params", "client", "scales")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    SCALES_FIELD_NUMBER: _ClassVar[int]
    serial: int
    ticket: bytes
    token_ids: _containers.RepeatedScalarFieldContainer[int]
    params: _sampling_pb2.Sampling
    client: str
    scales: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, serial: _Optional[int] = ..., ticket: _Optional[bytes] = ..., token_ids: _Optional[_Iterable[int]] = ..., params: _Optional[_Union[_sampling_pb2.Sampling, _Mapping]] = ..., client: _Optional[str] = ..., scales: _Optional[_Iterable[float]] = ...) -> None: ...

class JournalTokens(_message.Message):
    __slots__ = ("serials", "tokens", "texts", "logprobs")
    SERIALS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    serials: _containers.RepeatedScalarFieldContainer[int]
    tokens: _containers.RepeatedScalarFieldContainer[int]
    texts: _containers.RepeatedScalarFieldContainer[str]
    logprobs: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, serials: _Optional[_Iterable[int]] = ..., tokens: _Optional[_Iterable[int]] = ..., texts: _Optional[_Iterable[str]] = ..., logprobs: _Optional[_Iterable[float]] = ...) -> None: ...

class JournalEvents(_message.Message):
    __slots__ = ("serial", "events")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    serial: int
    events: _inference_pb2.GenerateEvents
    def __init__(self, serial: _Optional[int] = ..., events: _Optional[_Union[_inference_pb2.GenerateEvents, _Mapping]] = ...) -> None: ...

class JournalEnd(_message.Message):
    __slots__ = ("serial",)
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    serial: int
    def __init__(self, serial: _Optional[int] = ...) -> None: ...

class JournalTry(_message.Message):
    __slots__ = ("serial",)
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    serial: int
    def __init__(self, serial: _Optional[int] = ...) -> None: ...
