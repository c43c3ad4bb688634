"""Programs in files: written and read again, run where there is no torch, and looked at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ggml
from ggml.__main__ import main
from ggml.core.dtypes import float16, int64
from ggml.gguf.value import MetadataArray
from ggml.programs.decoding import decode
from ggml.programs.encoding import encode
from ggml.programs.expressions import Apply, Symbol
from ggml.programs.graph import Node, Ref, TensorSpec
from ggml.programs.program import Program
from tests.ggml.programs.graphs import VECTOR, graph, node


def scaled(tensors: dict[str, ggml.Tensor] | None = None) -> Program:
    """relu(x * w + 1), for three elements."""
    from dataclasses import replace

    fixed = TensorSpec(ggml.float32, (3,))
    whole = graph(
        node("mul.Tensor", Ref(0), Ref(1)), node("add.Tensor", Ref(2), 1.0), node("relu.default", Ref(3)),
        weights=("a.weight",),
    )  # fmt: skip
    whole = replace(whole, inputs=(replace(whole.inputs[0], spec=fixed), replace(whole.inputs[1], spec=fixed)))
    return Program(whole, tensors or {"a.weight": ggml.tensor([1.0, -2.0, 3.0])})


def test_every_kind_of_argument_comes_back() -> None:
    everything = (
        None, True, False, 0, -5, (1 << 62), 0.5, float("inf"), "text", float16, Ref(0), (1, (Ref(0), None), ()),
        Symbol(0), Apply("floordiv", (Apply("add", (Symbol(0), 3, 0.5)), 2)),
    )  # fmt: skip
    one = Node("aten.cat.default", ((Ref(0),), 0), (), (VECTOR,))
    other = Node("aten.einsum.default", ("i->i", everything), (("path", None),), (VECTOR, TensorSpec(int64, ())), True)
    before = graph(one, other)
    after = decode(encode(before), "x.ggp")
    assert after == before
    assert [type(item) for item in after.nodes[1].args[1]] == [type(item) for item in everything]  # type: ignore[union-attr]


def test_saved_and_loaded(tmp_path: Path) -> None:
    program = scaled()
    program.save(tmp_path / "model.ggp")
    again = ggml.load_program(tmp_path / "model.ggp")
    assert again.graph == program.graph
    x = np.float32([2, 2, -2])
    assert again(x).tolist() == program(x).tolist() == [3.0, 0.0, 0.0]
    assert ggml.load(str(tmp_path / "model.ggp"))["a.weight"].tolist() == [1.0, -2.0, 3.0]


def test_torch_is_not_needed(tmp_path: Path) -> None:
    scaled().save(tmp_path / "model.ggp")
    code = (
        "import sys, ggml, numpy; p = ggml.load_program(sys.argv[1]); "
        "print(p(numpy.float32([2, 2, -2])).tolist()); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.ggp")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip() == "[3.0, 0.0, 0.0]"


def test_other_tools_read_the_file(tmp_path: Path) -> None:
    scaled().save(tmp_path / "model.ggp")
    from gguf import GGUFReader

    reader = GGUFReader(tmp_path / "model.ggp")
    assert reader.fields["general.architecture"].contents() == "ggml-program"
    assert [tensor.name for tensor in reader.tensors] == ["a.weight"]


def test_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, given, results = (str(tmp_path / name) for name in ("model.ggp", "x.npy", "out.npz"))
    scaled().save(file)
    np.save(given, np.float32([2, 2, -2]))
    assert main(["run", file, "--input", f"x={given}", "--output", results]) == 0
    assert "output  float32 (3,)  from 0 to 3" in capsys.readouterr().out
    with np.load(results) as saved:
        assert saved["output"].tolist() == [3.0, 0.0, 0.0]
    assert main(["run", file, "--repeat", "2"]) == 0
    capsys.readouterr()
    for wrong, message in (
        (["--input", f"z={given}"], "names 'z'"),
        (["--input", "x"], "must be NAME=F.npy"),
        (["--input", f"x={file}"], "array"),
        (["--repeat", "0"], "at least 1"),
    ):
        assert main(["run", file, *wrong]) == 1
        assert message in capsys.readouterr().err


def test_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scaled().save(tmp_path / "model.ggp")
    assert main(["inspect", str(tmp_path / "model.ggp")]) == 0
    shown = capsys.readouterr().out
    assert "a.weight" in shown
    assert "aten.relu.default  1      ggml" in shown


def test_files_without_a_program(tmp_path: Path) -> None:
    ggml.save({"a": ggml.ones(3)}, tmp_path / "state.gguf")
    with pytest.raises(ggml.FileFormatError, match=r"ggml\.program: is no array of bytes"):
        ggml.load_program(tmp_path / "state.gguf")
    with pytest.raises(FileNotFoundError):
        ggml.load_program(tmp_path / "none.ggp")
    with pytest.raises(ggml.DTypeError):
        ggml.load_program(3)


def test_tensors_must_be_those_of_the_graph() -> None:
    with pytest.raises(ggml.StateDictError, match=r"missing keys: a\.weight"):
        scaled({"b": ggml.ones(3)})
    with pytest.raises(ggml.StateDictError, match=r"a\.weight: ggml.float32 \(4,\) instead of"):
        scaled({"a.weight": ggml.ones(4)})
    with pytest.raises(ggml.StateDictError, match=r"a\.weight: ggml.int64"):
        scaled({"a.weight": ggml.ones(3, dtype=int64)})


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    program = Program(graph(node("nonsense.default", Ref(0))), {})
    with pytest.raises(ggml.FileFormatError, match=r"no rule"):
        program.save(tmp_path / "model.ggp")
    assert not list(tmp_path.iterdir())


def test_the_header_holds_bytes(tmp_path: Path) -> None:
    scaled().save(tmp_path / "model.ggp")
    import mmap

    from ggml.io.mapped import open_mapped

    value = open_mapped(str(tmp_path / "model.ggp"), mmap.ACCESS_READ).header.metadata["ggml.program"].value
    assert isinstance(value, MetadataArray)
    assert bytes(value.raw) == encode(scaled().graph)
