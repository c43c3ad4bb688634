"""``run``: a program on arrays from files, or on random ones."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from ggml.core.errors import ArgumentError, FileFormatError
from ggml.ops.create.random import manual_seed
from ggml.programs.drawn import drawn_input
from ggml.programs.files import load_program
from ggml.programs.trees import unflatten
from ggml.tensors.tensor import Tensor
from ggml.tools.commands.printable import printable

NAME = "run"
HELP = "run a program (.ggp), and say or save what it gives"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, its inputs, and where the results go."""
    parser.add_argument("file", metavar="F.ggp")
    parser.add_argument(
        "--input", metavar="NAME=F.npy", action="append", default=[],
        help="an input from a file of numpy; others are random, in the shapes of the example",
    )  # fmt: skip
    parser.add_argument("--output", metavar="F.npz", help="where the results are saved")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="calls; the fastest is reported")


def run(options: argparse.Namespace) -> None:
    """Call the program, and print one line a result."""
    if options.repeat < 1:
        raise ArgumentError("run", "--repeat", f"must be at least 1, not {options.repeat}")
    program = load_program(options.file)
    given = dict(_named(text) for text in options.input)
    users = program.graph.users
    unknown = sorted(given.keys() - {one.name for one in users})
    if unknown:
        raise ArgumentError("run", "--input", f"names {unknown[0]!r}; there are {[one.name for one in users]}")
    manual_seed(0)
    leaves = [given[one.name] if one.name in given else drawn_input(program.graph, one) for one in users]
    args, kwargs = unflatten(program.graph.in_tree, iter(leaves))
    fastest = float("inf")
    for _ in range(options.repeat):
        began = time.perf_counter()
        result = program(*args, **kwargs)
        outputs = _tensors(result, "")
        arrays = {name: tensor.cpu().numpy() for name, tensor in outputs}
        fastest = min(fastest, time.perf_counter() - began)
    for name, array in arrays.items():
        print(f"{printable(name)}  {array.dtype} {array.shape}  {_range(array)}")
    print(f"{fastest * 1000:.2f} ms")
    if options.output:
        with open(options.output, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)


def _named(text: str) -> tuple[str, Any]:
    name, sign, path = text.partition("=")
    if not sign:
        raise ArgumentError("run", "--input", f"must be NAME=F.npy, not {text!r}")
    try:
        return name, np.load(Path(path), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise FileFormatError(path, "array", str(error)) from None


def _tensors(result: Any, path: str) -> list[tuple[str, Tensor]]:
    """The tensors of a result with the way to each."""
    if isinstance(result, Tensor):
        return [(path or "output", result)]
    items = (
        result.items() if isinstance(result, dict) else enumerate(result) if isinstance(result, (tuple, list)) else ()
    )
    return [found for key, item in items for found in _tensors(item, f"{path}.{key}" if path else str(key))]


def _range(array: Any) -> str:
    return f"from {array.min():.6g} to {array.max():.6g}" if array.size else "no elements"
