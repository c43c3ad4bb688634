from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NodeState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NODESTATE_UNSPECIFIED: _ClassVar[NodeState]
    NODESTATE_MEMBER: _ClassVar[NodeState]
    NODESTATE_LEFT: _ClassVar[NodeState]
    NODESTATE_REMOVED: _ClassVar[NodeState]
NODESTATE_UNSPECIFIED: NodeState
NODESTATE_MEMBER: NodeState
NODESTATE_LEFT: NodeState
NODESTATE_REMOVED: NodeState

class Versions(_message.Message):
    __slots__ = ("program", "protocol", "python", "ray", "llama", "platform")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    RAY_FIELD_NUMBER: _ClassVar[int]
    LLAMA_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    program: str
    protocol: int
    python: str
    ray: str
    llama: str
    platform: str
    def __init__(self, program: _Optional[str] = ..., protocol: _Optional[int] = ..., python: _Optional[str] = ..., ray: _Optional[str] = ..., llama: _Optional[str] = ..., platform: _Optional[str] = ...) -> None: ...

class JoinRequest(_message.Message):
    __slots__ = ("token_id", "secret", "request_pem", "name", "host", "nonce", "versions")
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    REQUEST_PEM_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    token_id: str
    secret: str
    request_pem: str
    name: str
    host: str
    nonce: str
    versions: Versions
    def __init__(self, token_id: _Optional[str] = ..., secret: _Optional[str] = ..., request_pem: _Optional[str] = ..., name: _Optional[str] = ..., host: _Optional[str] = ..., nonce: _Optional[str] = ..., versions: _Optional[_Union[Versions, _Mapping]] = ...) -> None: ...

class Admission(_message.Message):
    __slots__ = ("cert_pem", "is_secure")
    CERT_PEM_FIELD_NUMBER: _ClassVar[int]
    IS_SECURE_FIELD_NUMBER: _ClassVar[int]
    cert_pem: str
    is_secure: bool
    def __init__(self, cert_pem: _Optional[str] = ..., is_secure: _Optional[bool] = ...) -> None: ...

class RegisterRequest(_message.Message):
    __slots__ = ("host", "versions")
    HOST_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    host: str
    versions: Versions
    def __init__(self, host: _Optional[str] = ..., versions: _Optional[_Union[Versions, _Mapping]] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("gcs_address", "ray_token", "secret", "client_secret", "instance", "namespace", "first_port", "is_secure", "versions")
    GCS_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    RAY_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    CLIENT_SECRET_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    FIRST_PORT_FIELD_NUMBER: _ClassVar[int]
    IS_SECURE_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    gcs_address: str
    ray_token: str
    secret: str
    client_secret: str
    instance: str
    namespace: str
    first_port: int
    is_secure: bool
    versions: Versions
    def __init__(self, gcs_address: _Optional[str] = ..., ray_token: _Optional[str] = ..., secret: _Optional[str] = ..., client_secret: _Optional[str] = ..., instance: _Optional[str] = ..., namespace: _Optional[str] = ..., first_port: _Optional[int] = ..., is_secure: _Optional[bool] = ..., versions: _Optional[_Union[Versions, _Mapping]] = ...) -> None: ...

class ConfirmRequest(_message.Message):
    __slots__ = ("timeout_s",)
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    timeout_s: float
    def __init__(self, timeout_s: _Optional[float] = ...) -> None: ...

class Confirmation(_message.Message):
    __slots__ = ("summary",)
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    summary: str
    def __init__(self, summary: _Optional[str] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("request_pem", "host", "nonce")
    REQUEST_PEM_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    request_pem: str
    host: str
    nonce: str
    def __init__(self, request_pem: _Optional[str] = ..., host: _Optional[str] = ..., nonce: _Optional[str] = ...) -> None: ...

class LeaveRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class LeaveReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NodesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListedNode(_message.Message):
    __slots__ = ("name", "host", "state", "is_alive", "joined_s", "seen_s", "versions")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    IS_ALIVE_FIELD_NUMBER: _ClassVar[int]
    JOINED_S_FIELD_NUMBER: _ClassVar[int]
    SEEN_S_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    host: str
    state: NodeState
    is_alive: bool
    joined_s: float
    seen_s: float
    versions: Versions
    def __init__(self, name: _Optional[str] = ..., host: _Optional[str] = ..., state: _Optional[_Union[NodeState, str]] = ..., is_alive: _Optional[bool] = ..., joined_s: _Optional[float] = ..., seen_s: _Optional[float] = ..., versions: _Optional[_Union[Versions, _Mapping]] = ...) -> None: ...

class NodesReply(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[ListedNode]
    def __init__(self, nodes: _Optional[_Iterable[_Union[ListedNode, _Mapping]]] = ...) -> None: ...

class PingRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Presence(_message.Message):
    __slots__ = ("name", "version", "running")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    running: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., running: _Optional[str] = ...) -> None: ...

class EndRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class EndReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
