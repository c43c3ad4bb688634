"""Writes the pages that the table answers for: ``python -m ggml.tools.reference`` after a change of it."""

from __future__ import annotations

import re
from pathlib import Path

from ggml.autograd.coverage import CONSTANT, HAS, derivatives
from ggml.core.dtypes import ALL, FLOATING, INTEGER, NUMERIC, PLAIN
from ggml.core.op import Op
from ggml.ops import namespace
from ggml.ops.namespace import TABLE
from ggml.tensors.tensor import Tensor

_DOCS = Path(__file__).parents[2] / "docs" / "ggml"

_SETS = {PLAIN: "all but quantised", NUMERIC: "numbers", FLOATING: "floats", INTEGER: "integers"}

_RUNS = {
    "ggml": "ggml's own operations, on every device whose backend has them",
    "kernel": "our CPU kernel; tensors on other devices are copied to the CPU and back",
    "mixed": "ggml's operations where they are exact, else our kernel",
    "view": "no work until the elements are needed in order",
    "host": "Python",
    "composed": "other rows",
}

# What no single row can say.
_GENERAL = (
    "Tensors are lazy: an operation's errors of shape and dtype come at once, those of the data (an index out of "
    "range, an integer divided by zero) when the result is computed.",
    "A tensor never changes. In-place methods give the handle another value; views, slices and clones that were taken "
    "before keep theirs.",
    "Memory that is shared (`from_numpy`, an array of `numpy()` that is still alive) is read when an operation on it "
    "is called, as in PyTorch; in-place methods never write into it. See [beside.md](beside.md).",
    "`numpy()` of read-only memory is read-only, and DLPack copies it.",
    "There is no float64, no complex, no int8, int16 or uint8. Python floats and numpy's defaults become float32 only "
    "where PyTorch would do the same; a float64 array is refused with a hint.",
    "Complex tensors are pairs of floats, a last axis of 2, that carry a mark (`view_as_complex`). What knows the mark "
    "calculates with complex numbers; everything else refuses it. `shape` counts the axis, `dim` does not.",
    "What `torch.linalg` solves or decomposes is computed at once, by numpy in float64, and rounded to float32; it "
    "cannot be compiled. The signs of vectors are LAPACK's choice.",
    "`inference_mode` is `no_grad`: what is made in it may be used anywhere. A view that is changed in place does not "
    "change its base, so that no gradient goes through it; `x[0] = y` is recorded on `x`.",
    "`backward` goes by the values that operations were recorded with. A detached handle has a version of its own: "
    "changing it in place never spoils the values of the tensor that it was taken from. Of functions of "
    "`ggml.compile` nothing is recorded.",
    "A bool takes 4 bytes, and leaving or entering through DLPack or numpy copies it.",
    "Random numbers come from numpy's Philox on the host: equal on every device, and other than PyTorch's.",
    "`ggml.empty` is `ggml.zeros`.",
    "Operations on two Python numbers, without a tensor, are refused.",
    "`layout=` must be `ggml.strided`; a memory format and `non_blocking=` have no effect.",
    "`out=` makes the handle mean the result, whatever shape it had. Every function of `ggml`, `ggml.fft`, "
    "`ggml.linalg` and `ggml.special` takes it where the result is tensors, also those that are views in PyTorch.",
    "A dtype that is not here names what takes its place: `ggml.float64`, `x.double()`, `dtype=float` say "
    "`use ggml.float32`. Python's `int` and `bool` stand for int64 and bool.",
    "`pin_memory` gives the tensor itself where no device has memory of that kind. There are no streams and no events: "
    "results are waited for.",
    "Activations take floats only, where PyTorch has some for integers (`relu6`, `hardtanh`, `softsign`).",
    "Errors are `GgmlError`, a RuntimeError as PyTorch's are, and also the ValueError, TypeError, IndexError or "
    "MemoryError that fits; see `ggml/core/errors.py`.",
    "Tensors of one operation must lie on one device, those without axes included.",
)


def _dtypes(row: Op) -> str:
    return _SETS.get(row.dtypes, ", ".join(dtype.name for dtype in row.dtypes))


def _rows() -> list[Op]:
    return sorted((row for row in TABLE.values() if row.sample != "internal"), key=lambda row: row.name)


def _signature(row: Op) -> str:
    text = str(row.signature).split(" -> ")[0]
    return re.sub(r"'([^']*)'", r"\1", text).replace("|", "\\|")


def _mark(derivative: str) -> str:
    return {HAS: "yes", CONSTANT: ""}.get(derivative, "no")


def _operations() -> str:
    known = derivatives()
    without = {row.name: known[row.name] for row in _rows() if known[row.name] not in (HAS, CONSTANT)}
    count = sum(known[row.name] == HAS for row in _rows())
    lines = [
        "# Operations",
        "",
        "Written by `python -m ggml.tools.reference` from the table. Names, arguments, defaults and results are",
        "PyTorch's; [differences](differences.md) are listed apart. `tests/ggml/ops/test_table.py` compares every",
        "row with PyTorch, and `tests/ggml/autograd/test_derivatives.py` every derivative.",
        "",
        f"{len(_rows())} operations, {count} with a derivative. Where the work is done:",
        "",
        *[f"- `{runs}`: {text}." for runs, text in _RUNS.items() if any(row.runs == runs for row in _rows())],
        "",
        "| operation | PyTorch's place | dtypes | runs | derivative | what it is |",
        "|---|---|---|---|---|---|",
    ]
    for row in _rows():
        name = f"`{row.name}{_signature(row)}`"
        place = "`torch." + row.torch + "`" + (", in place too" if hasattr(Tensor, f"{row.name}_") else "")
        lines.append(
            f"| {name} | {place} | {_dtypes(row)} | {row.runs} | {_mark(known[row.name])} | {row.doc.splitlines()[0]} |"
        )
    aliases = ", ".join(f"`{alias}` = `{name}`" for alias, name in sorted(namespace.ALIASES.items()))
    lines += ["", "## Without a derivative", ""]
    lines += [f"- {', '.join(f'`{name}`' for name in names)}: {why}." for why, names in _by_reason(without).items()]
    return "\n".join([*lines, "", f"Second names: {aliases}.", "", f"Dtypes: {', '.join(sorted(ALL))}.", ""])


def _by_reason(without: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, why in without.items():
        found.setdefault(why, []).append(name)
    return found


def _differences() -> str:
    lines = [
        "# Differences from PyTorch",
        "",
        "Written by `python -m ggml.tools.reference`. Each has its test in `tests/ggml/test_differences.py`.",
        "",
        *[f"- {text}" for text in _GENERAL],
        "",
        "| operation | difference |",
        "|---|---|",
    ]
    return "\n".join([*lines, *[f"| `{row.name}` | {row.differs} |" for row in _rows() if row.differs], ""])


def texts() -> dict[Path, str]:
    """Every page that is generated, by its file."""
    return {_DOCS / "operations.md": _operations(), _DOCS / "differences.md": _differences()}


if __name__ == "__main__":
    for path, text in texts().items():
        path.write_text(text, encoding="utf-8")
