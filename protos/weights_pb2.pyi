from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DescribeModelRequest(_message.Message):
    __slots__ = ("protocol_version", "model_hash")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_HASH_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    model_hash: str
    def __init__(self, protocol_version: _Optional[int] = ..., model_hash: _Optional[str] = ...) -> None: ...

class TensorRange(_message.Message):
    __slots__ = ("first", "end")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    first: int
    end: int
    def __init__(self, first: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class HeaderPart(_message.Message):
    __slots__ = ("header_bytes", "held", "data")
    HEADER_BYTES_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header_bytes: int
    held: _containers.RepeatedCompositeFieldContainer[TensorRange]
    data: bytes
    def __init__(self, header_bytes: _Optional[int] = ..., held: _Optional[_Iterable[_Union[TensorRange, _Mapping]]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ReadTensorRequest(_message.Message):
    __slots__ = ("protocol_version", "model_hash", "tensor", "begin", "end")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_HASH_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    model_hash: str
    tensor: int
    begin: int
    end: int
    def __init__(self, protocol_version: _Optional[int] = ..., model_hash: _Optional[str] = ..., tensor: _Optional[int] = ..., begin: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class WeightsPart(_message.Message):
    __slots__ = ("data", "sha256")
    DATA_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    sha256: bytes
    def __init__(self, data: _Optional[bytes] = ..., sha256: _Optional[bytes] = ...) -> None: ...
