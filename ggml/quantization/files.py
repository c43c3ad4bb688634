"""Quantising a model file: libllama's own quantiser, in a process of its own, into a file that appears whole.

libllama decides which tensor takes which type, with rules for single architectures that change with its releases;
so the result is its own, byte for byte. It ends the process on what it cannot bear, and cannot be interrupted: the
child takes that upon itself.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ggml.core.dtypes import of_ggml_type
from ggml.core.errors import ArgumentError, FileFormatError
from ggml.graph.threads import get_num_threads
from ggml.io.gguf_file import GgufFile, open_gguf, plain_path
from ggml.quantization.file_report import FileReport, TensorChange
from ggml.quantization.file_types import file_type_number, file_types, tensor_type
from ggml.quantization.imatrix import ImportanceMatrix
from ggml.quantization.parts import open_parts
from ggml.quantization.patterns import check_effect, check_importance, check_patterns
from ggml.quantization.runner import ChildError, run_child

__all__ = ["FileReport", "TensorChange", "file_types", "quantize_file"]

# The line of the tensor may come before it: "[ 3/20] NAME - [...], ... function: failed to quantize: reason".
_FAILED = re.compile(r"(?:\[ *\d+/ *\d+\] (\S+) .*)?failed to quantize: (.*)", re.DOTALL)

_numbers = itertools.count()

Place = str | os.PathLike[str]


def quantize_file(
    source: Place,
    target: Place,
    file_type: str,
    *,
    imatrix: Place | None = None,
    num_threads: int | None = None,
    pure: bool = False,
    allow_requantize: bool = False,
    leave_output_tensor: bool = False,
    output_tensor_type: str | None = None,
    token_embedding_type: str | None = None,
    tensor_types: Mapping[str, str] | None = None,
    dry_run: bool = False,
    progress: Callable[[TensorChange], object] | None = None,
) -> FileReport:
    """Write ``source`` (a GGUF model, or the first part of a split one) as ``target`` of kind ``file_type``.

    ``file_type`` is one of ``file_types()``, such as ``Q4_K_M``. ``pure`` gives every tensor the same type;
    ``tensor_types`` maps regular expressions of tensor names to types; the first that is found in a name decides.
    ``progress`` hears of each tensor once libllama says that it is done. The report is read from the file that was
    written. All metadata is kept. ``target`` appears at the end, whole, in place of what was there; after an error
    or Ctrl-C it is as it was. With ``dry_run`` nothing is written.

    ArgumentError for options that do not fit, or that name no tensor and change nothing; FileFormatError for a source
    that cannot be quantised, OSError for files that cannot be read or written.
    """
    number = file_type_number(file_type)
    parts = open_parts(source)
    wanted = Path(plain_path("quantize_file", target))
    if not dry_run:
        _check_target(parts, wanted)
        _check_requantize(parts, allow_requantize)
    types = {"output.weight": output_tensor_type, "token_embd.weight": token_embedding_type}
    numbers = {name: None if kind is None else tensor_type(kind) for name, kind in types.items()}
    _check_rows(parts, numbers)
    pairs = check_patterns(parts, tensor_types)
    request: dict[str, Any] = {
        "source": str(parts[0].path.absolute()),
        "file_type": number,
        "num_threads": _threads(num_threads),
        "allow_requantize": bool(allow_requantize),
        "quantize_output": not leave_output_tensor,
        "pure": bool(pure),
        "dry_run": bool(dry_run),
        "output_type": numbers["output.weight"],
        "embedding_type": numbers["token_embd.weight"],
        "tensor_types": [(pattern, tensor_type(kind)) for pattern, kind in pairs],
        **_importance(imatrix, parts),
    }
    if parts[0].alignment != 32:
        request["numbers"] = [*request["numbers"], ("general.alignment", 32)]  # libllama writes with no other
    report = FileReport(parts[0].path, wanted, file_type, parts)
    if dry_run or pairs:
        dry = FileReport(parts[0].path, wanted, file_type, parts)
        _run(request | {"target": "", "dry_run": True}, dry, progress if dry_run else None)
        check_effect(pairs, {kind: of_ggml_type(tensor_type(kind)).name for _, kind in pairs}, dry.checked())
        if dry_run:
            return dry
    part = wanted.with_name(f".{wanted.name}.{os.getpid()}.{next(_numbers)}.part")
    try:
        _run(request | {"target": str(part.absolute())}, report, progress)
        report.read_back(_checked_result(part, parts))
        _publish(part, wanted)
    finally:
        part.unlink(missing_ok=True)
    return report


def _run(request: dict[str, Any], report: FileReport, progress: Callable[[TensorChange], object] | None) -> None:
    def on_line(line: str) -> None:
        change = report.hear(line)
        if change is not None and progress is not None:
            progress(change)

    try:
        run_child(request, on_line)
    except ChildError as error:
        raise _reason(str(error), request, report) from None


def _reason(why: str, request: dict[str, Any], report: FileReport) -> Exception:
    if "importance matrix" in why or "requires an imatrix" in why:
        return ArgumentError("quantize_file", "imatrix", f"is needed for {report.file_type}")
    if "basic_ios" in why or "iostream" in why:
        free = shutil.disk_usage(report.target.parent).free
        is_full = free < max(1 << 20, sum(part.num_bytes for part in report.parts) // 8)
        code = errno.ENOSPC if is_full else errno.EIO
        return OSError(code, f"cannot be written to the end ({os.strerror(code)})", str(report.target))
    return FileFormatError(request["source"], "model", f"cannot be quantised: {_readable(why)}")


def _readable(why: str) -> str:
    """libllama's reason without where in its sources it comes from, with the tensor that it was at."""
    failed = _FAILED.search(why)
    if failed:
        name, reason = failed.groups()
        if "validation failed" in reason:
            reason = "holds NaN, an infinity or elements beyond the range of the type"
        if "unknown model architecture" in reason:
            reason += "; quantise its tensors with ggml.quantization.quantize_"
        return f"{name}: {reason}" if name else reason
    asserted = why.find("GGML_ASSERT")
    return "libllama ended: " + why[asserted:] if asserted >= 0 else why


def _check_target(parts: tuple[GgufFile, ...], target: Path) -> None:
    if target.is_dir():
        raise ArgumentError("quantize_file", str(target), "is a folder; name a file")
    if not target.absolute().parent.is_dir():
        raise ArgumentError("quantize_file", str(target), "lies in a folder that does not exist")
    if target.exists() and any(os.path.samefile(target, part.path) for part in parts):
        raise ArgumentError("quantize_file", str(target), "is the source; name another file")
    if not os.access(target.absolute().parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))


def _check_requantize(parts: tuple[GgufFile, ...], is_allowed: bool) -> None:
    found = [tensor for part in parts for tensor in part.tensors if tensor.is_quantized]
    if found and not is_allowed:
        raise FileFormatError(
            str(parts[0].path),
            "model",
            f"is quantised already ({found[0].name} is {found[0].type}); take the original, or allow requantising",
        )


def _check_rows(parts: tuple[GgufFile, ...], numbers: Mapping[str, int | None]) -> None:
    """libllama takes the types of these tensors as they are told, and would assert that they fit."""
    tensors = [tensor for part in parts for tensor in part.tensors]
    for name, number in numbers.items():
        if number is not None and all(tensor.name != name for tensor in tensors):
            hint = "; its head is token_embd.weight" if name == "output.weight" else ""
            raise ArgumentError("quantize_file", f"a type for {name}", f"is given, which the model has not{hint}")
    for tensor in tensors:
        number = numbers.get(tensor.name)
        if number is not None and tensor.shape[-1] % of_ggml_type(number).block:
            kind = of_ggml_type(number)
            raise ArgumentError(
                "quantize_file", tensor.name, f"has rows of {tensor.shape[-1]}; {kind} needs multiples of {kind.block}"
            )


def _threads(num_threads: int | None) -> int:
    if num_threads is None:
        return get_num_threads()
    if isinstance(num_threads, bool) or not isinstance(num_threads, int) or not 1 <= num_threads <= 512:
        raise ArgumentError("quantize_file", "num_threads", f"{num_threads!r} is no number from 1 to 512")
    return num_threads


def _importance(imatrix: Place | None, parts: tuple[GgufFile, ...]) -> dict[str, Any]:
    """The file, and what the result says of it, under the keys that llama.cpp's tool uses."""
    if imatrix is None:
        return {"imatrix": None, "texts": [], "numbers": []}
    known = plain_path("quantize_file", imatrix)
    matrix = ImportanceMatrix.load(known)
    check_importance(parts, matrix)
    texts = [("quantize.imatrix.file", Path(known).name)]
    texts += [("quantize.imatrix.dataset", matrix.datasets[0])] if matrix.datasets else []
    numbers = [("quantize.imatrix.entries_count", len(matrix))]
    numbers += [("quantize.imatrix.chunks_count", matrix.num_chunks)] if matrix.num_chunks else []
    return {"imatrix": str(Path(known).absolute()), "texts": texts, "numbers": numbers}


def _checked_result(part: Path, sources: tuple[GgufFile, ...]) -> GgufFile:
    """The file that was made. One that cannot be read back must not take the target's place."""
    made = open_gguf(part)
    wanted = {tensor.name: tensor.shape for source in sources for tensor in source.tensors}
    if {tensor.name: tensor.shape for tensor in made.tensors} != wanted:
        raise FileFormatError(str(sources[0].path), "model", "cannot be quantised: libllama left tensors out")
    return made


def _publish(part: Path, target: Path) -> None:
    with open(part, "rb") as file:
        os.fsync(file.fileno())
    os.replace(part, target)
