from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_USER: _ClassVar[Role]
    ROLE_WEIGHT: _ClassVar[Role]
    ROLE_STATE: _ClassVar[Role]
ROLE_UNSPECIFIED: Role
ROLE_USER: Role
ROLE_WEIGHT: Role
ROLE_STATE: Role

class Program(_message.Message):
    __slots__ = ("version", "symbols", "inputs", "nodes", "outputs", "in_tree", "out_tree", "stripped")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    IN_TREE_FIELD_NUMBER: _ClassVar[int]
    OUT_TREE_FIELD_NUMBER: _ClassVar[int]
    STRIPPED_FIELD_NUMBER: _ClassVar[int]
    version: int
    symbols: _containers.RepeatedCompositeFieldContainer[Symbol]
    inputs: _containers.RepeatedCompositeFieldContainer[Input]
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    outputs: _containers.RepeatedCompositeFieldContainer[Output]
    in_tree: Tree
    out_tree: Tree
    stripped: _containers.RepeatedCompositeFieldContainer[Stripped]
    def __init__(self, version: _Optional[int] = ..., symbols: _Optional[_Iterable[_Union[Symbol, _Mapping]]] = ..., inputs: _Optional[_Iterable[_Union[Input, _Mapping]]] = ..., nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[Output, _Mapping]]] = ..., in_tree: _Optional[_Union[Tree, _Mapping]] = ..., out_tree: _Optional[_Union[Tree, _Mapping]] = ..., stripped: _Optional[_Iterable[_Union[Stripped, _Mapping]]] = ...) -> None: ...

class Symbol(_message.Message):
    __slots__ = ("name", "low", "high", "hint")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    name: str
    low: int
    high: int
    hint: int
    def __init__(self, name: _Optional[str] = ..., low: _Optional[int] = ..., high: _Optional[int] = ..., hint: _Optional[int] = ...) -> None: ...

class Expression(_message.Message):
    __slots__ = ("integer", "real", "symbol", "apply")
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    REAL_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    APPLY_FIELD_NUMBER: _ClassVar[int]
    integer: int
    real: float
    symbol: int
    apply: Application
    def __init__(self, integer: _Optional[int] = ..., real: _Optional[float] = ..., symbol: _Optional[int] = ..., apply: _Optional[_Union[Application, _Mapping]] = ...) -> None: ...

class Application(_message.Message):
    __slots__ = ("function", "arguments")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    function: str
    arguments: _containers.RepeatedCompositeFieldContainer[Expression]
    def __init__(self, function: _Optional[str] = ..., arguments: _Optional[_Iterable[_Union[Expression, _Mapping]]] = ...) -> None: ...

class Spec(_message.Message):
    __slots__ = ("dtype", "shape")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    dtype: str
    shape: _containers.RepeatedCompositeFieldContainer[Expression]
    def __init__(self, dtype: _Optional[str] = ..., shape: _Optional[_Iterable[_Union[Expression, _Mapping]]] = ...) -> None: ...

class Input(_message.Message):
    __slots__ = ("name", "role", "spec", "constant")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: Role
    spec: Spec
    constant: Argument
    def __init__(self, name: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., spec: _Optional[_Union[Spec, _Mapping]] = ..., constant: _Optional[_Union[Argument, _Mapping]] = ...) -> None: ...

class Output(_message.Message):
    __slots__ = ("name", "role", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: Role
    value: Argument
    def __init__(self, name: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., value: _Optional[_Union[Argument, _Mapping]] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("op", "args", "kwargs", "specs", "is_tuple")
    OP_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    KWARGS_FIELD_NUMBER: _ClassVar[int]
    SPECS_FIELD_NUMBER: _ClassVar[int]
    IS_TUPLE_FIELD_NUMBER: _ClassVar[int]
    op: str
    args: _containers.RepeatedCompositeFieldContainer[Argument]
    kwargs: _containers.RepeatedCompositeFieldContainer[NamedArgument]
    specs: _containers.RepeatedCompositeFieldContainer[Spec]
    is_tuple: bool
    def __init__(self, op: _Optional[str] = ..., args: _Optional[_Iterable[_Union[Argument, _Mapping]]] = ..., kwargs: _Optional[_Iterable[_Union[NamedArgument, _Mapping]]] = ..., specs: _Optional[_Iterable[_Union[Spec, _Mapping]]] = ..., is_tuple: _Optional[bool] = ...) -> None: ...

class NamedArgument(_message.Message):
    __slots__ = ("name", "argument")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    argument: Argument
    def __init__(self, name: _Optional[str] = ..., argument: _Optional[_Union[Argument, _Mapping]] = ...) -> None: ...

class Argument(_message.Message):
    __slots__ = ("none", "value", "boolean", "integer", "real", "text", "dtype", "items", "expression")
    NONE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BOOLEAN_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    REAL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    none: bool
    value: int
    boolean: bool
    integer: int
    real: float
    text: str
    dtype: str
    items: Arguments
    expression: Expression
    def __init__(self, none: _Optional[bool] = ..., value: _Optional[int] = ..., boolean: _Optional[bool] = ..., integer: _Optional[int] = ..., real: _Optional[float] = ..., text: _Optional[str] = ..., dtype: _Optional[str] = ..., items: _Optional[_Union[Arguments, _Mapping]] = ..., expression: _Optional[_Union[Expression, _Mapping]] = ...) -> None: ...

class Arguments(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Argument]
    def __init__(self, items: _Optional[_Iterable[_Union[Argument, _Mapping]]] = ...) -> None: ...

class Tree(_message.Message):
    __slots__ = ("kind", "items", "keys")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    items: _containers.RepeatedCompositeFieldContainer[Tree]
    keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[str] = ..., items: _Optional[_Iterable[_Union[Tree, _Mapping]]] = ..., keys: _Optional[_Iterable[str]] = ...) -> None: ...

class Stripped(_message.Message):
    __slots__ = ("op", "count")
    OP_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    op: str
    count: int
    def __init__(self, op: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Recordings(_message.Message):
    __slots__ = ("version", "recordings", "memory")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RECORDINGS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    version: int
    recordings: _containers.RepeatedCompositeFieldContainer[Recording]
    memory: str
    def __init__(self, version: _Optional[int] = ..., recordings: _Optional[_Iterable[_Union[Recording, _Mapping]]] = ..., memory: _Optional[str] = ...) -> None: ...

class Recording(_message.Message):
    __slots__ = ("inputs", "outputs", "names", "words", "sources")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[Slot]
    outputs: _containers.RepeatedCompositeFieldContainer[Slot]
    names: _containers.RepeatedScalarFieldContainer[str]
    words: _containers.RepeatedScalarFieldContainer[int]
    sources: _containers.RepeatedCompositeFieldContainer[Source]
    def __init__(self, inputs: _Optional[_Iterable[_Union[Slot, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[Slot, _Mapping]]] = ..., names: _Optional[_Iterable[str]] = ..., words: _Optional[_Iterable[int]] = ..., sources: _Optional[_Iterable[_Union[Source, _Mapping]]] = ...) -> None: ...

class Slot(_message.Message):
    __slots__ = ("name", "role", "dtype", "shape", "step", "tensor", "in_place")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    IN_PLACE_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: Role
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    step: int
    tensor: str
    in_place: bool
    def __init__(self, name: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., step: _Optional[int] = ..., tensor: _Optional[str] = ..., in_place: _Optional[bool] = ...) -> None: ...

class Source(_message.Message):
    __slots__ = ("input", "tensor", "range")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    input: int
    tensor: str
    range: Range
    def __init__(self, input: _Optional[int] = ..., tensor: _Optional[str] = ..., range: _Optional[_Union[Range, _Mapping]] = ...) -> None: ...

class Range(_message.Message):
    __slots__ = ("offset", "num_bytes")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    NUM_BYTES_FIELD_NUMBER: _ClassVar[int]
    offset: int
    num_bytes: int
    def __init__(self, offset: _Optional[int] = ..., num_bytes: _Optional[int] = ...) -> None: ...
