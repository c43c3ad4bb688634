"""What one module owns by name: parameters, buffers and other owners, which are registered when they are assigned."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from ggml.core import tracing
from ggml.core.errors import ArgumentError, DTypeError, ModuleError
from ggml.nn.parameter import Buffer, Parameter
from ggml.tensors.tensor import Tensor

Child = TypeVar("Child", bound="Owner[Any]")


class Kind(NamedTuple):
    """What can be owned. ``place`` is the dictionary that holds it, ``type_name`` its type in messages."""

    place: str
    what: str
    type_name: str


PARAMETER = Kind("_parameters", "parameter", "Parameter")
BUFFER = Kind("_buffers", "buffer", "Tensor")
MODULE = Kind("_modules", "module", "Module")
_KINDS = (PARAMETER, BUFFER, MODULE)
_PLACES = tuple(kind.place for kind in _KINDS)


class Owner(Generic[Child]):
    """PyTorch's names for what it owns; ``None`` keeps a name free.

    A change of a parameter, a buffer or of an owner below makes compiled functions record anew.
    """

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Child | None]
    _non_persistent_buffers_set: set[str]

    def __init__(self) -> None:
        owned: dict[str, Any] = {
            "_parameters": {},
            "_buffers": {},
            "_non_persistent_buffers_set": set(),
            "_modules": {},
        }
        self.__dict__.update(owned)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._enter(name, value, PARAMETER)
        elif isinstance(value, Owner):
            self._enter(name, value, MODULE)
        elif isinstance(value, Buffer):
            self._enter(name, value, BUFFER, value.persistent)
        else:
            for kind in (BUFFER, PARAMETER, MODULE):
                if name in self.__dict__.get(kind.place, ()):
                    _need(name, value, kind)
                    self._enter(name, value, kind)
                    return
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for place in _PLACES:
            owned = self.__dict__.get(place)
            if owned is not None and name in owned:
                return owned[name]
        raise ModuleError(f"{type(self).__name__!r} object has no attribute {name!r}", name)

    def __delattr__(self, name: str) -> None:
        for kind in _KINDS:
            if name in self.__dict__.get(kind.place, ()):
                del self.__dict__[kind.place][name]
                self._non_persistent_buffers_set.discard(name)
                tracing.note_change()
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*super().__dir__(), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if not name[0].isdigit())

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Own a parameter, or keep its name free with None."""
        self._register_owned(name, param, PARAMETER)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Own a tensor that is no parameter; only a persistent one is in the state dict."""
        self._register_owned(name, tensor, BUFFER, persistent)

    def register_module(self, name: str, module: Child | None) -> None:
        """As ``add_module``."""
        self._register_owned(name, module, MODULE)

    def add_module(self, name: str, module: Child | None) -> None:
        """Own a module under a name, which need not be an identifier."""
        self.register_module(name, module)

    def _register_owned(self, name: str, value: Any, kind: Kind, persistent: bool | None = None) -> None:
        owned = self.__dict__.get(kind.place, {})
        if isinstance(name, str) and name not in owned and hasattr(self, name):
            raise ArgumentError(type(self).__name__, repr(name), f"is an attribute already, and names no {kind.what}")
        _need(name, value, kind)
        self._enter(name, value, kind, persistent)

    def _enter(self, name: str, value: Any, kind: Kind, persistent: bool | None = None) -> None:
        """Own ``value``, in place of whatever has the name."""
        owner = type(self).__name__
        if kind.place not in self.__dict__:
            raise ModuleError(f"{owner}: call Module.__init__() before a {kind.what} is assigned")
        if not isinstance(name, str):
            raise DTypeError(owner, f"a string as the {kind.what}'s name", type(name).__name__)
        if not name or "." in name:
            raise ArgumentError(owner, repr(name), f"cannot name a {kind.what}: it is empty or has a dot")
        self._note_change(name, value)
        for other in _KINDS:
            if other is not kind:
                self.__dict__[other.place].pop(name, None)
        self.__dict__.pop(name, None)
        self.__dict__[kind.place][name] = value
        if persistent is not None or kind is not BUFFER:
            apart = self._non_persistent_buffers_set
            apart.add(name) if persistent is False else apart.discard(name)

    def _note_change(self, name: str, value: Any) -> None:
        """Compiled functions may hold what has the name now."""
        for kind in _KINDS:
            found = self.__dict__[kind.place]
            if name in found and found[name] is not value:
                if kind is not MODULE:
                    tracing.refuse(f"{type(self).__name__}.{name}")
                tracing.note_change()


def names(owner: Owner[Any], kind: Kind) -> Collection[str]:
    """The names of a kind, those that are kept free included."""
    found: dict[str, Any] = getattr(owner, kind.place)
    return found.keys()


def owned(owner: Owner[Any], kind: Kind) -> Iterator[tuple[str, Any]]:
    """What the owner itself has of a kind, by name, without the names that are kept free."""
    return ((name, value) for name, value in getattr(owner, kind.place).items() if value is not None)


def is_persistent(owner: Owner[Any], buffer: str) -> bool:
    """Whether the owner's buffer of that name is part of its state."""
    return buffer not in owner._non_persistent_buffers_set


def _need(name: str, value: Any, kind: Kind) -> None:
    wanted: Any = {PARAMETER: Parameter, BUFFER: Tensor, MODULE: Owner}[kind]
    if value is not None and not isinstance(value, wanted):
        raise DTypeError(name, f"a ggml {kind.type_name} or None as {kind.what}", type(value).__name__)
