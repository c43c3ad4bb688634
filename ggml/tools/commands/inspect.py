"""``inspect``: what a GGUF holds; of a program also what it takes and gives, and its operations."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from ggml.io.gguf_file import GgufFile, open_gguf
from ggml.programs.expressions import text
from ggml.programs.files import load_program
from ggml.programs.graph import KEY, Role
from ggml.quantization.report import table
from ggml.tools.commands.printable import printable

NAME = "inspect"
HELP = "show the metadata and the tensors of a GGUF, and the operations of a program"

_SHOWN_ITEMS, _SHOWN_CHARACTERS = 6, 72


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, and whether its tensors are listed."""
    parser.add_argument("file", metavar="F.gguf")
    parser.add_argument("--no-tensors", action="store_true", help="only metadata and totals")


def run(options: argparse.Namespace) -> None:
    """Print the header as tables."""
    file = open_gguf(options.file)
    print(f"{file.path}: GGUF version {file.version}, {len(file.tensors)} tensors, {file.num_bytes} bytes\n")
    rows = [("key", "type", "value")]
    rows += [(_name(key), file.types[key], _shown(value)) for key, value in file.metadata.items()]
    print(table(rows))
    if not options.no_tensors and file.tensors:
        print("\n" + table([("tensor", "shape", "type", "bytes"), *_tensor_rows(file)]))
    print("\n" + table([("type", "tensors", "bytes"), *_totals(file)]))
    if KEY in file.metadata:
        _show_program(options.file)


def _show_program(path: str) -> None:
    program = load_program(path)
    names = [printable(symbol.name) for symbol in program.graph.symbols]
    rows = [("input", "dtype", "shape")]
    for one in program.graph.users:
        shape = ", ".join(text(extent, names) for extent in one.spec.shape) if one.spec else ""
        rows.append((_name(one.name), one.spec.dtype.name if one.spec else repr(one.constant), shape))
    print("\n" + table(rows))
    bounds = [(name, str(one.low), str(one.high)) for name, one in zip(names, program.graph.symbols, strict=True)]
    if bounds:
        print("\n" + table([("extent", "from", "to"), *bounds]))
    for recorded in program.recordings.by_shapes.values():
        shapes = [(_name(slot.name), str(slot.shape)) for slot in recorded.inputs if slot.role is Role.USER]
        print("\n" + table([("recorded", "shape"), *shapes]))
    print(f"\n{program.coverage()}")


def _shown(value: Any) -> str:
    if isinstance(value, list):
        items = ", ".join(_plain(item) for item in value[:_SHOWN_ITEMS])
        more = f", ... {len(value)} in all" if len(value) > _SHOWN_ITEMS else ""
        return f"[{items}{more}]"
    return _plain(value)


def _plain(value: Any) -> str:
    """One line of printable characters: what a file says must not reach the terminal as control codes."""
    if not isinstance(value, str):
        return repr(value)
    quoted = repr(value)
    return quoted if len(quoted) <= _SHOWN_CHARACTERS else quoted[: _SHOWN_CHARACTERS - 4] + "...'"


def _tensor_rows(file: GgufFile) -> list[tuple[str, ...]]:
    return [
        (_name(tensor.name), " x ".join(map(str, tensor.shape)), tensor.type, str(tensor.num_bytes))
        for tensor in file.tensors
    ]


def _name(name: str) -> str:
    return name if name.isprintable() else repr(name)


def _totals(file: GgufFile) -> list[tuple[str, ...]]:
    counts, sizes = Counter[str](), Counter[str]()
    for tensor in file.tensors:
        counts[tensor.type] += 1
        sizes[tensor.type] += tensor.num_bytes
    return [(kind, str(counts[kind]), str(num_bytes)) for kind, num_bytes in sizes.most_common()]
