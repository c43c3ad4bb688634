"""Pickles of plain data, read without trust: dicts, lists, texts, bytes, numbers and numpy arrays of those.

A pickle is a program. This one is first read as a list of instructions, of which only those are allowed that plain data
needs, and what it names is answered with stand-ins of ours: nothing of numpy runs on what the file says of an array
until it was checked here.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import FileFormatError

# Every other instruction calls, finds or allocates what plain data has no need of.
_WORDS = """
    PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT
    STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8
    EMPTY_LIST APPEND APPENDS LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS
    GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL REDUCE BUILD
"""
_ALLOWED = frozenset(_WORDS.split())

# Tuples within tuples are hashed by recursion, which has no limit of its own.
_MOST_TUPLES = 10_000

# A memo is an array: one number that is far too large would be gigabytes.
_LARGEST_MEMO = 1 << 20

_KINDS = "?bhilqBHILQefd"


class _Named:
    """What a name in a pickle stands for. It can be called, and keeps nothing that the pickle says of it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: Any) -> None:
        raise ValueError("a name is given a state")


class _DType:
    """The type of an array's elements, by its text: ``u1``, ``f4``; then the order of its bytes."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def dtype(self) -> np.dtype[Any]:
        code, order = str(self.code), str(self.order)
        if order not in ("<", ">", "|", "=") or code.lstrip("<>|=") not in {np.dtype(kind).str[1:] for kind in _KINDS}:
            raise ValueError(f"an array of {code!r}; expected numbers")
        return np.dtype(("" if order == "|" else order) + code.lstrip("<>|="))


class _Array:
    """An array whose shape, type and bytes come as its state."""

    __slots__ = ("values",)

    def __init__(self, *_: Any) -> None:
        self.values: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, is_fortran, raw = state
        data = raw.encode("latin1") if isinstance(raw, str) else raw
        if not isinstance(kind, _DType) or not isinstance(data, bytes) or not isinstance(shape, tuple):
            raise ValueError("an array of something else than bytes")
        dtype = kind.dtype()
        if any(type(extent) is not int or extent < 0 for extent in shape) or len(shape) > 8:
            raise ValueError(f"an array of shape {shape!r:.80}")
        if math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError(f"an array of shape {shape!r:.80} and type {dtype} with {len(data)} bytes")
        self.values = np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")


def _encode(text: Any, encoding: Any) -> bytes:
    """How pickles of old protocols write bytes."""
    if encoding != "latin1" or not isinstance(text, str):
        raise ValueError("bytes in another encoding than latin1")
    return text.encode("latin1")


_NAMES: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        found = _NAMES.get((module_name, global_name))
        if found is None:
            raise ValueError(f"names {module_name}.{global_name}, and may name numpy arrays only")
        return _Named(found)


def load(path: str | Path) -> Any:
    """The plain data of a pickle. FileFormatError for anything else. Texts of Python 2 are read as latin1."""
    data = Path(path).read_bytes()
    try:
        num_tuples = 0
        for code, argument, _ in pickletools.genops(data):
            if code.name not in _ALLOWED:
                raise ValueError(f"the instruction {code.name} has no place in plain data")
            if code.name.endswith("PUT") and not 0 <= int(argument or 0) <= _LARGEST_MEMO:
                raise ValueError(f"the memo {argument} is too large")
            num_tuples += "TUPLE" in code.name
            if num_tuples > _MOST_TUPLES:
                raise ValueError(f"more than {_MOST_TUPLES} tuples")
        return _finished(_Unpickler(io.BytesIO(data), encoding="latin1").load(), {}, 0)
    except Exception as error:  # a pickle can fail in any way
        raise FileFormatError(str(path), "pickle", f"is not plain data: {error}") from None


def _finished(value: Any, done: dict[int, Any], depth: int) -> Any:
    """The value with arrays in the place of what stood for them. What is there many times is looked at once."""
    if depth > 16:
        raise ValueError("nested too deep")
    if isinstance(value, _Array):
        if value.values is None:
            raise ValueError("an array without elements")
        return value.values
    if isinstance(value, (_Named, _DType)):
        raise ValueError("a name where data should be")
    if not isinstance(value, (dict, list, tuple)):
        return value
    if id(value) not in done:
        if isinstance(value, dict):
            done[id(value)] = {key: _finished(one, done, depth + 1) for key, one in value.items()}
        else:
            done[id(value)] = type(value)(_finished(one, done, depth + 1) for one in value)
    return done[id(value)]
