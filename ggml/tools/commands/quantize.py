"""``quantize``: a GGUF model in another kind of file."""

from __future__ import annotations

import argparse
import sys
import time

from ggml.core.errors import ArgumentError
from ggml.quantization import FileReport, TensorChange, file_types, quantize_file
from ggml.quantization.blocks import types

NAME = "quantize"
HELP = "write a GGUF model with quantised tensors, as llama.cpp does"

_MIB = 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of llama.cpp's tool that are of use here, under its names."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        f"TYPE is one of\n  {_wrapped(file_types())}\nT, for single tensors, is f32 or one of\n  "
        f"{_wrapped(tuple(dtype.name for dtype in types()))}"
    )
    parser.add_argument("source", metavar="in.gguf", help="a model, or the first part of a split one")
    parser.add_argument("target", metavar="out.gguf")
    parser.add_argument("file_type", metavar="TYPE")
    parser.add_argument("--imatrix", metavar="F", help="importance matrix: GGUF or the older format")
    parser.add_argument("--threads", type=int, metavar="N", help="default: as many as there are cores")
    parser.add_argument("--pure", action="store_true", help="give every tensor the same type")
    parser.add_argument("--output-tensor-type", metavar="T")
    parser.add_argument("--token-embedding-type", metavar="T")
    parser.add_argument("--leave-output-tensor", action="store_true", help="leave output.weight as it is")
    parser.add_argument(
        "--tensor-type",
        action="append",
        default=[],
        metavar="PATTERN=T",
        help="the type of tensors whose name matches a regular expression; may be given several times",
    )
    parser.add_argument("--allow-requantize", action="store_true", help="take a source that is quantised already")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, write nothing")
    parser.add_argument("--quiet", action="store_true", help="no line for each tensor")


def run(options: argparse.Namespace) -> None:
    """Quantise, with a line for each tensor and one at the end."""
    begin_s = time.monotonic()
    report = quantize_file(
        options.source,
        options.target,
        options.file_type,
        imatrix=options.imatrix,
        num_threads=options.threads,
        pure=options.pure,
        allow_requantize=options.allow_requantize,
        leave_output_tensor=options.leave_output_tensor,
        output_tensor_type=options.output_tensor_type,
        token_embedding_type=options.token_embedding_type,
        tensor_types=dict(_pair(text) for text in options.tensor_type),
        dry_run=options.dry_run,
        progress=None if options.quiet else _say,
    )
    print(_summary(report, options.dry_run, time.monotonic() - begin_s))


def _pair(text: str) -> tuple[str, str]:
    pattern, equals, kind = text.rpartition("=")
    if not pattern or not equals or not kind:
        raise ArgumentError("quantize", "--tensor-type", f"{text!r} is not PATTERN=T")
    return pattern, kind


def _say(change: TensorChange) -> None:
    kind = change.before if change.before == change.after else f"{change.before} -> {change.after}"
    size = f"{change.bytes_before / _MIB:.2f} -> {change.bytes_after / _MIB:.2f} MiB"
    note = f" ({change.note})" if change.note else ""
    print(f"[{change.index}/{change.count}] {change.name}  {kind}  {size}{note}")
    sys.stdout.flush()


def _summary(report: FileReport, is_dry: bool, took_s: float) -> str:
    num_elements = sum(_elements(change) for change in report.tensors)
    bits = report.bytes_after * 8 / max(num_elements, 1)
    verb = "would be" if is_dry else "is"
    size = f"{report.bytes_before / _MIB:.1f} -> {report.bytes_after / _MIB:.1f} MiB, {bits:.2f} bits a weight"
    return f"{report.target} {verb} {report.file_type.upper()}: {size}, {took_s:.1f} s"


def _elements(change: TensorChange) -> int:
    product = 1
    for extent in change.shape:
        product *= extent
    return product


def _wrapped(names: tuple[str, ...], width: int = 96) -> str:
    lines, line = [], ""
    for name in names:
        if len(line) + len(name) > width:
            lines.append(line.rstrip())
            line = ""
        line += name + " "
    return "\n  ".join([*lines, line.rstrip()])
