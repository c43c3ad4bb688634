from protos import stage_pb2 as _stage_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RingPart(_message.Message):
    __slots__ = ("protocol_version", "rank", "world_size", "data", "is_direct", "invitation", "shared_bytes")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    WORLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    IS_DIRECT_FIELD_NUMBER: _ClassVar[int]
    INVITATION_FIELD_NUMBER: _ClassVar[int]
    SHARED_BYTES_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    rank: int
    world_size: int
    data: bytes
    is_direct: bool
    invitation: _stage_pb2.Invitation
    shared_bytes: int
    def __init__(self, protocol_version: _Optional[int] = ..., rank: _Optional[int] = ..., world_size: _Optional[int] = ..., data: _Optional[bytes] = ..., is_direct: _Optional[bool] = ..., invitation: _Optional[_Union[_stage_pb2.Invitation, _Mapping]] = ..., shared_bytes: _Optional[int] = ...) -> None: ...

class RingAck(_message.Message):
    __slots__ = ("has_come",)
    HAS_COME_FIELD_NUMBER: _ClassVar[int]
    has_come: bool
    def __init__(self, has_come: _Optional[bool] = ...) -> None: ...
