from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class RingPart(_message.Message):
    __slots__ = ("protocol_version", "rank", "world_size", "data", "is_direct")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    WORLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    IS_DIRECT_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    rank: int
    world_size: int
    data: bytes
    is_direct: bool
    def __init__(self, protocol_version: _Optional[int] = ..., rank: _Optional[int] = ..., world_size: _Optional[int] = ..., data: _Optional[bytes] = ..., is_direct: _Optional[bool] = ...) -> None: ...

class RingAck(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
