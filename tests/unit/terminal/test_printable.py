"""No name from a file reaches a terminal as something that it obeys: messages, tables, generated text."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from cluster.cli.command import main
from cluster.cutting.header import read_header
from cluster.terminal.printable import printable, printable_lines
from cluster.terminal.progress import ProgressLines
from cluster.terminal.table import format_table
from ggml.__main__ import main as ggml_main
from ggml.gguf.encode import encode_header
from ggml.gguf.value import string
from tests.fakes.tiny_models import TinyModel, write_tiny

CLEAR = "\x1b[2J\x07\x9b1m\u202e"


def test_what_a_terminal_obeys_is_escaped() -> None:
    assert printable(CLEAR) == r"\x1b[2J\x07\x9b1m\u202e"
    assert printable("Ä 模型 \U0001f600 a b") == "Ä 模型 \U0001f600 a b"
    assert printable("two\nlines\udc80") == r"two\nlines\udc80"
    assert printable_lines(f"line\n\tnext{CLEAR}") == "line\n\tnext" + r"\x1b[2J\x07\x9b1m\u202e"
    assert format_table([[CLEAR, "x"], ["short", "y"]])[0] == r"\x1b[2J\x07\x9b1m\u202e  x"


def test_notes_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    ProgressLines(stream).note(f"repairing: {CLEAR}\nfake")
    assert stream.getvalue() == "repairing: \\x1b[2J\\x07\\x9b1m\\u202e\\nfake\n"


def hostile(path: Path, key: str) -> Path:
    """A tiny model whose architecture, or name of a key, is what a terminal would obey."""
    header = read_header(write_tiny(path, TinyModel()))
    changes = {"general.architecture": string(CLEAR)} if key == "architecture" else {CLEAR: string("x")}
    path.write_bytes(encode_header({**header.metadata, **changes}, ()))
    return path


@pytest.mark.parametrize("key", ["architecture", "key"])
@pytest.mark.parametrize("command", ["plan", "cuts", "doctor", "verify", "inspect", "quantize"])
def test_no_command_passes_it_on(
    command: str, key: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    model = str(hostile(tmp_path / "model.gguf", key))
    if command == "inspect":
        ggml_main(["inspect", model])
    elif command == "quantize":
        ggml_main(["quantize", model, str(tmp_path / "out.gguf"), "Q8_0"])
    else:
        main([command, model])
    said = "".join(capfd.readouterr())
    assert said.strip()
    assert all(char.isprintable() or char == "\n" for char in said), ascii(said)
