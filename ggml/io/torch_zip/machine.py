"""A machine for the few opcodes of pickle that checkpoints are made of. It calls nothing that a file names.

Names of classes and functions are looked up in a table that the caller gives, and everything that is not in it is
refused. Python's own unpickler would import them, and can be made to take any amount of memory by a few bytes.
Opcodes are those of ``pickletools``, whose names these are.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from ggml.core.errors import GgmlError

#: What makes a value of the arguments that the file gives.
Maker = Callable[..., Any]

_KEYS = (str, int, float, bool, bytes, type(None))


class Refused(Exception):
    """What the file asks for and does not get, in words."""


class Machine:
    """Runs one pickle. ``makers`` has a maker for each allowed "module.name", ``persistent`` makes what lies outside.

    Names that are allowed but not called stay as they are: they are keys of ``makers``, or values of ``constants``.
    """

    def __init__(
        self, makers: Mapping[str, Maker], constants: Mapping[str, Any], persistent: Callable[[Any], Any]
    ) -> None:
        self._makers, self._constants, self._persistent = makers, constants, persistent

    def run(self, raw: bytes) -> Any:
        """The value. Refused for what is not allowed, or is no pickle."""
        self._raw, self._at = raw, 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        try:
            while True:
                code = self._take(1)
                if code == b".":
                    return self._stack.pop()
                step = _STEPS.get(code)
                if step is None:
                    raise Refused(f"uses the opcode {code!r}, which no checkpoint needs")
                step(self)
        except GgmlError:  # some of them are ValueErrors, too
            raise
        except (IndexError, KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
            raise Refused(f"is no sound pickle at byte {self._at}: {type(error).__name__}") from error

    def _take(self, count: int) -> bytes:
        part = self._raw[self._at : self._at + count]
        if len(part) != count:
            raise Refused("ends too early")
        self._at += count
        return part

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _line(self) -> str:
        end = self._raw.index(b"\n", self._at)
        line = self._raw[self._at : end].decode()
        self._at = end + 1
        return line

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _since_mark(self) -> list[Any]:
        place = self._marks.pop()
        items = self._stack[place:]
        del self._stack[place:]
        return items

    def _global(self) -> None:
        name = f"{self._line()}.{self._line()}"
        if name in self._constants:
            self._push(self._constants[name])
        elif name in self._makers:
            self._push(_Name(name))
        else:
            raise Refused(f"asks for {name[:200]!r}, which is not among what may be loaded")

    def _reduce(self) -> None:
        arguments, name = self._stack.pop(), self._stack.pop()
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise Refused("calls something that is no name")
        self._push(self._makers[name.name](*arguments))

    def _build(self) -> None:
        """Attributes: those of an OrderedDict, as state dicts have them for versions of modules, are left out."""
        self._stack.pop()
        if not isinstance(self._stack[-1], OrderedDict):
            raise Refused(f"sets attributes of a {type(self._stack[-1]).__name__}")

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise Refused("sets items of what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, _KEYS):
                raise Refused(f"has a key of type {type(key).__name__}")
            target[key] = value

    def _append(self, items: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise Refused("appends to what is no list")
        self._stack[-1].extend(items)

    def _pop(self, count: int) -> list[Any]:
        items = self._stack[-count:]
        if len(items) != count:
            raise Refused("takes more than there is")
        del self._stack[-count:]
        return items


class _Name:
    """A name that may be called."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


def _protocol(machine: Machine) -> None:
    version = machine._number(1)
    if version > 5:
        raise Refused(f"is of protocol {version}")


_STEPS: dict[bytes, Callable[[Machine], Any]] = {
    b"\x80": _protocol,
    b"\x95": lambda m: m._take(8),  # FRAME
    b"(": lambda m: m._marks.append(len(m._stack)),
    b"N": lambda m: m._push(None),
    b"\x88": lambda m: m._push(True),
    b"\x89": lambda m: m._push(False),
    b"K": lambda m: m._push(m._number(1)),
    b"M": lambda m: m._push(m._number(2)),
    b"J": lambda m: m._push(int.from_bytes(m._take(4), "little", signed=True)),
    b"\x8a": lambda m: m._push(int.from_bytes(m._take(m._number(1)), "little", signed=True)),
    b"G": lambda m: m._push(struct.unpack(">d", m._take(8))[0]),
    b"X": lambda m: m._push(m._take(m._number(4)).decode("utf-8", "surrogatepass")),
    b"\x8c": lambda m: m._push(m._take(m._number(1)).decode("utf-8", "surrogatepass")),
    b"B": lambda m: m._push(m._take(m._number(4))),
    b"C": lambda m: m._push(m._take(m._number(1))),
    b"}": lambda m: m._push({}),
    b"]": lambda m: m._push([]),
    b")": lambda m: m._push(()),
    b"t": lambda m: m._push(tuple(m._since_mark())),
    b"\x85": lambda m: m._push(tuple(m._pop(1))),
    b"\x86": lambda m: m._push(tuple(m._pop(2))),
    b"\x87": lambda m: m._push(tuple(m._pop(3))),
    b"q": lambda m: m._memo.__setitem__(m._number(1), m._stack[-1]),
    b"r": lambda m: m._memo.__setitem__(m._number(4), m._stack[-1]),
    b"\x94": lambda m: m._memo.__setitem__(len(m._memo), m._stack[-1]),
    b"h": lambda m: m._push(m._memo[m._number(1)]),
    b"j": lambda m: m._push(m._memo[m._number(4)]),
    b"s": lambda m: m._set(m._pop(2)),
    b"u": lambda m: m._set(m._since_mark()),
    b"a": lambda m: m._append(m._pop(1)),
    b"e": lambda m: m._append(m._since_mark()),
    b"c": lambda m: m._global(),
    b"R": lambda m: m._reduce(),
    b"b": lambda m: m._build(),
    b"Q": lambda m: m._push(m._persistent(m._stack.pop())),
}
