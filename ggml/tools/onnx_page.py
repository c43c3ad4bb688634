"""``python -m ggml.tools.onnx_page``: the tables of docs/ggml/onnx.md, from what is entered in ``ggml.onnx.table``."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "ggml" / "onnx.md"

_BEGIN, _END = "<!-- generated: python -m ggml.tools.onnx_page -->", "<!-- end of what is generated -->"


def _rows(names: Iterable[str]) -> str:
    """Names in lines that are not too long."""
    lines, line = [], ""
    for name in sorted(names):
        if len(line) + len(name) > 116:
            lines.append(line.rstrip())
            line = ""
        line += f"{name}, "
    return "\n".join([*lines, line.rstrip(", ")])


def page(text: str) -> str:
    """The page with the tables as they have to be."""
    ops = import_module("ggml.onnx.ops")
    table = import_module("ggml.onnx.table")
    assert ops.__all__  # it fills the table when it is imported
    before, rest = text.split(_BEGIN)
    _, after = rest.split(_END)
    read, written = table.FROM_ONNX, table.TO_ONNX
    return "\n".join(
        [
            before + _BEGIN,
            f"\n`load` knows {len(read)} operations of ONNX's own domain:\n",
            _rows(read),
            f"\n`export` writes {len(written)} rows of the table, and with them all that is composed of them:\n",
            _rows(written),
            "\n" + _END + after,
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
