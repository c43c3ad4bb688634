"""Patterns of tensor names, and whether they do anything: one that does nothing is a mistake of whoever wrote it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from ggml.core.errors import ArgumentError
from ggml.io.gguf_file import GgufFile
from ggml.quantization.file_report import FileReport
from ggml.quantization.imatrix import ImportanceMatrix

__all__ = ["check_effect", "check_importance", "check_patterns"]

_OP = "quantize_file"


def check_patterns(parts: tuple[GgufFile, ...], tensor_types: Mapping[str, str] | None) -> list[tuple[str, str]]:
    """The pairs of pattern and type, each pattern a regular expression that is found in some tensor's name."""
    names = [tensor.name for part in parts for tensor in part.tensors]
    pairs = list((tensor_types or {}).items())
    for pattern, _ in pairs:
        try:
            found = re.compile(pattern)
        except re.error as error:
            raise ArgumentError(_OP, repr(pattern), f"is no regular expression: {error}") from None
        if not any(found.search(name) for name in names):
            raise ArgumentError(_OP, f"pattern {pattern!r}", f"matches no tensor; {_nearest(pattern, names)}")
    return pairs


def check_effect(pairs: Iterable[tuple[str, str]], numbers: Mapping[str, str], report: FileReport) -> None:
    """ArgumentError for a pattern that gives no tensor the type that it names.

    ``report`` says what libllama makes of each tensor, ``numbers`` ggml's names of the types that were asked for. A
    tensor whose rows do not fit the type counts: it takes one that is near.
    """
    left = list(report.tensors)
    for pattern, kind in pairs:
        found = [tensor for tensor in left if re.search(pattern, tensor.name)]
        left = [tensor for tensor in left if tensor not in found]  # the first pattern that is found in a name decides
        if any(tensor.after == numbers[kind] or tensor.note for tensor in found):
            continue
        why = (
            "every tensor that it matches is taken by a pattern before it"
            if not found
            else (
                f"changes nothing: libllama keeps {found[0].name} as {found[0].after} in a file of {report.file_type}"
            )
        )
        raise ArgumentError(_OP, f"pattern {pattern!r}", why)


def check_importance(parts: tuple[GgufFile, ...], matrix: ImportanceMatrix) -> None:
    """ArgumentError for an importance matrix of another model: none of its names is one of a tensor."""
    names = [tensor.name for part in parts for tensor in part.tensors]
    if not set(matrix) & set(names):
        first = next(iter(matrix))
        raise ArgumentError(_OP, "imatrix", f"has nothing for any tensor; it has {first!r}, {_nearest(first, names)}")


def _nearest(name: str, names: list[str]) -> str:
    """A name of the model to compare with: the one that is most like the text, whatever the case."""
    lower = name.lower()
    parts = {part: full for full in reversed(names) for part in (full, *full.split("."))}
    near = difflib.get_close_matches(lower.replace("\\", ""), list(parts), 1, 0.5)
    return f"there is {parts[near[0]]}" if near else f"names are like {names[0]}"
