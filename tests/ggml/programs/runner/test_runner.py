"""``ggml-run``: programs without Python give what they give with it, bit for bit, and survive what files hold."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ggml
from ggml.io.writing import write
from ggml.programs.encoding import encode
from ggml.programs.graph import Graph, Input, Node, Output, Ref, Role, TensorSpec
from ggml.programs.program import Program
from ggml.programs.recordings.storing import with_recordings
from ggml.programs.trees import LEAF, Tree
from protos import program_pb2 as pb
from tests.ggml.programs.graphs import graph, node
from tests.ggml.programs.runner.building import ROOT, built
from tests.ggml.programs.test_files import scaled
from tests.ggml.programs.test_hostile import mutated
from tests.ggml.programs.test_recordings import summing

pytestmark = [pytest.mark.slow, pytest.mark.native]


def called(runner: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([runner, *map(str, arguments)], capture_output=True, text=True, timeout=300)


def outputs(
    runner: Path, program: Program, given: dict[str, NDArray[np.generic]], folder: Path, *options: object
) -> list[NDArray[np.generic]]:
    """What the runner writes for one recorded call, in the order of the program's outputs."""
    program.save(folder / "model.ggp")
    inputs: list[object] = []
    for name, array in given.items():
        np.save(folder / f"{name}.npy", array)
        inputs += ["--input", f"{name}={folder / name}.npy"]
    done = called(runner, folder / "model.ggp", *inputs, "--output", folder / "out", *options)
    assert done.returncode == 0, done.stderr
    names = [one.name for one in program.graph.outputs if one.role is Role.USER]
    files = [str(place) if name in names[:place] else name for place, name in enumerate(names)]
    return [np.load(folder / "out" / f"{name}.npy") for name in files]


def test_states_go_on_from_call_to_call(runner: Path, tmp_path: Path) -> None:
    program, x = summing(), np.float32([1, -1, 0.5])
    program.record(x)
    (found,) = outputs(runner, program, {"x": x}, tmp_path, "--repeat", 3)
    for _ in range(3):
        wanted = program(x)
    assert found.tolist() == wanted.tolist() == [6.0, -12.0, 9.0]
    # The file was written before these calls: a saved program goes on from where it was.
    (found,) = outputs(runner, program, {"x": x}, tmp_path)
    assert found.tolist() == program(x).tolist() == [8.0, -16.0, 12.0]


def cached() -> Program:
    """Writes a row into a cache, and gives the sum of each column."""
    cache, row, place = TensorSpec(ggml.float32, (4, 2)), TensorSpec(ggml.float32, (1, 2)), TensorSpec(ggml.int64, (1,))
    inputs = (Input("row", Role.USER, row), Input("at", Role.USER, place), Input("cache", Role.STATE, cache))
    nodes = (
        Node("aten.index_copy.default", (Ref(2), 0, Ref(1), Ref(0)), specs=(cache,)),
        Node("aten.sum.dim_IntList", (Ref(3), (0,)), specs=(TensorSpec(ggml.float32, (2,)),)),
    )
    outputs = (Output("cache", Role.STATE, Ref(3)), Output("y", Role.USER, Ref(4)))
    trees = Tree("tuple", (Tree("tuple", (LEAF,) * 2), Tree("dict"))), LEAF
    return Program(Graph((), inputs, nodes, outputs, *trees), {"cache": ggml.ones(4, 2)})


def test_rows_are_written_into_states(runner: Path, tmp_path: Path) -> None:
    program, given = cached(), {"row": np.float32([[5, -1]]), "at": np.array([2])}
    program.record(*given.values())
    (one,) = program.recordings.by_shapes.values()
    assert one.outputs[0].in_place and "set_rows" in one.steps.names
    (found,) = outputs(runner, program, given, tmp_path, "--repeat", 2)
    assert found.tolist() == program(*given.values()).tolist() == [8.0, 2.0]
    np.save(tmp_path / "at.npy", np.array([4]))
    done = called(
        runner, tmp_path / "model.ggp", "--input", f"row={tmp_path}/row.npy", "--input", f"at={tmp_path}/at.npy"
    )
    assert (done.returncode, done.stderr) == (1, "ggml-run: index 4 is out of bounds for size 4\n")


CRAFTED: dict[str, tuple[Callable[[pb.Recording], object], str]] = {
    "a limit beyond the rows": (lambda m: step(m, "index").__setitem__(-2, 5), "places that were not checked"),
    "places that nothing checked": (lambda m: step(m, "set_rows").__setitem__(9, 1), "wants checked|not checked"),
    "no state": (lambda m: setattr(m.outputs[0], "in_place", False), "no state|another tensor"),
    "an input in the place of a state": (
        lambda m: [setattr(one, "input", 0) for one in m.sources if one.input == 2],
        "input 0 is row",
    ),
    "a source that is not there": (lambda m: setattr(m.sources[0], "input", 77), "is input 77 of 3"),
    "a tensor that is not there": (lambda m: setattr(m.sources[0], "tensor", "x"), "there is no tensor 'x'"),
    "a first value that is not there": (lambda m: setattr(m.inputs[2], "tensor", "x"), "no value of cache"),
    "a state left out": (lambda m: m.outputs.pop(0), "left out, or there twice"),
    "an input twice": (lambda m: m.inputs.append(m.inputs[0]), "'row' is there twice"),
    "an unknown primitive": (lambda m: m.names.__setitem__(0, "system"), "system|inputs"),
}


def step(message: pb.Recording, name: str) -> WordsOf:
    """The words of the first step of that name, to be changed."""
    words, at = message.words, 0
    while message.names[words[at]] != name:
        at = ends(words, at)
    return WordsOf(message, at, ends(words, at))


def ends(words: Any, at: int) -> int:
    behind = at + 7 + words[at + 6]
    return int(behind + 1 + words[behind])


class WordsOf:
    """Words of a message from ``begin`` to ``end``, as a list of their own."""

    def __init__(self, message: pb.Recording, begin: int, end: int) -> None:
        self.message, self.begin, self.end = message, begin, end

    def __setitem__(self, place: int, word: int) -> None:
        self.message.words[(self.end if place < 0 else self.begin) + place] = word


def crafted(
    runner: Path, folder: Path, program: Program, given: dict[str, NDArray[np.generic]],
    change: Callable[[pb.Recording], object],
) -> str:  # fmt: skip
    """What the runner says of a file whose only recording was changed, which it has to refuse in one line."""
    program.record(*given.values())
    tensors, extra = with_recordings({**program.weights, **program.state.all()}, program.recordings)
    message = pb.Recordings.FromString(extra["ggml.recordings"])
    change(message.recordings[0])
    extra = {"ggml.program": encode(program.graph), "ggml.recordings": message.SerializeToString()}
    write(str(folder / "changed.ggp"), tensors, "ggml-program", extra)
    arguments: list[object] = [folder / "changed.ggp"]
    for key, array in given.items():
        np.save(folder / f"{key}.npy", array)
        arguments += ["--input", f"{key}={folder}/{key}.npy"]
    done = called(runner, *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), (done.returncode, done.stderr)
    return done.stderr


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_recordings_are_refused(runner: Path, tmp_path: Path, name: str) -> None:
    """What Python never writes, and ggml would take for granted: an assertion there ends the process."""
    change, why = CRAFTED[name]
    given = {"row": np.float32([[5, -1]]), "at": np.array([2])}
    assert re.search(why, crafted(runner, tmp_path, cached(), given, change))


def experts() -> Program:
    """Rows in the order of their experts, of which there are two."""
    rows, ends = TensorSpec(ggml.float32, (64, 32)), TensorSpec(ggml.int32, (2,))
    inputs = (
        Input("rows", Role.USER, rows),
        Input("ends", Role.USER, ends),
        Input("weight", Role.WEIGHT, TensorSpec(ggml.float32, (2, 32, 8))),
    )
    made = TensorSpec(ggml.float32, (64, 8))
    nodes = (Node("aten._grouped_mm.default", (Ref(0), Ref(2), Ref(1)), specs=(made,)),)
    trees = Tree("tuple", (Tree("tuple", (LEAF,) * 2), Tree("dict"))), LEAF
    return Program(Graph((), inputs, nodes, (Output("y", Role.USER, Ref(3)),), *trees), {"weight": ggml.ones(2, 32, 8)})


def test_experts_that_are_not_there_are_refused(runner: Path, tmp_path: Path) -> None:
    program, given = experts(), {"rows": np.ones((64, 32), np.float32), "ends": np.array([3, 64], np.int32)}
    program.record(*given.values())
    (one,) = program.recordings.by_shapes.values()
    assert "mul_mat_id" in one.steps.names
    (found,) = outputs(runner, program, given, tmp_path)
    assert found.tolist() == program(*given.values()).tolist() == [[32.0] * 8] * 64
    why = crafted(runner, tmp_path, experts(), given, lambda m: step(m, "index").__setitem__(-2, 3))
    assert "places that were not checked" in why


def of_dtypes() -> Program:
    """Selects by a bool, and counts; with a bool as weight and a half as result."""
    spec = {dtype: TensorSpec(dtype, (4,)) for dtype in (ggml.bool, ggml.int64, ggml.int32, ggml.float32, ggml.float16)}
    inputs = (
        Input("mask", Role.USER, spec[ggml.bool]),
        Input("n", Role.USER, spec[ggml.int64]),
        Input("h", Role.USER, spec[ggml.float16]),
        Input("keep", Role.WEIGHT, spec[ggml.bool]),
    )
    nodes = (
        Node("aten.logical_and.default", (Ref(0), Ref(3)), specs=(spec[ggml.bool],)),
        Node("aten.mul.Tensor", (Ref(1), Ref(1)), specs=(spec[ggml.int64],)),
        Node("aten.mul.Tensor", (Ref(2), 2.0), specs=(spec[ggml.float16],)),
    )
    values = [Output(name, Role.USER, Ref(place)) for name, place in (("both", 4), ("square", 5), ("twice", 6))]
    trees = Tree("tuple", (Tree("tuple", (LEAF,) * 3), Tree("dict"))), Tree("tuple", (LEAF,) * 3)
    whole = Graph((), inputs, nodes, tuple(values), *trees)
    return Program(whole, {"keep": ggml.tensor([True, False, True, False])})


def test_every_dtype_comes_back(runner: Path, tmp_path: Path) -> None:
    program = of_dtypes()
    given = {
        "mask": np.array([True, True, False, False]),
        "n": np.array([1 << 31, -3, 0, 7], np.int64),
        "h": np.array([1, -2, 0.5, 3], np.float16),
    }
    program.record(*given.values())
    both, square, twice = outputs(runner, program, given, tmp_path)
    assert (both.dtype, square.dtype, twice.dtype) == (np.bool_, np.int64, np.float16)
    assert both.tolist() == [True, False, False, False]
    assert square.tolist() == [1 << 62, 9, 0, 49]
    assert twice.tolist() == [2, -4, 1, 6]


def test_quantised_weights_lie_in_the_file(runner: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")
    torch.manual_seed(0)
    x = torch.randn(3, 64)
    export = torch.export.export(torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU()).eval(), (x,))
    program = ggml.export.lower(export, quantization=ggml.q8_0)
    program.record(x)
    (found,) = outputs(runner, program, {"input": x.numpy()}, tmp_path)
    assert np.array_equal(found, program(x).numpy())
    assert (tmp_path / "model.ggp").stat().st_size < 40_000


def test_what_a_call_gives_is_checked(runner: Path, tmp_path: Path) -> None:
    file, program = tmp_path / "model.ggp", Program(graph(node("mul.Tensor", Ref(0), 2.0)), {})
    program.save(tmp_path / "bare.ggp")
    for count in (2, 5):
        program.record(np.ones(count, np.float32))
    program.save(file)
    np.save(tmp_path / "x.npy", np.ones(3, np.float32))
    np.save(tmp_path / "double.npy", np.ones(2))
    np.save(tmp_path / "int.npy", np.ones(2, np.int32))
    np.save(tmp_path / "columns.npy", np.asfortranarray(np.ones((2, 3), np.float32)))
    (tmp_path / "short.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-1])
    for arguments, why in (
        ([file], "inputs: x float32 (2,) is missing"),
        ([file, "--input", f"x={tmp_path}/x.npy"], "x float32 (3,) was not recorded; recorded are x float32 (2,) | x"),
        ([file, "--input", f"x={tmp_path}/int.npy"], "x int32 (2,) was not recorded"),
        ([file, "--input", f"z={tmp_path}/x.npy"], "there is no 'z'; this program takes x"),
        ([file, "--input", f"x={tmp_path}/double.npy"], "elements are '<f8'; convert"),
        ([file, "--input", f"x={tmp_path}/columns.npy"], "Fortran"),
        ([file, "--input", f"x={tmp_path}/short.npy"], "has 11 bytes of elements"),
        ([file, "--input", f"x={tmp_path}"], "is no file"),
        ([file, "--input", "x"], "NAME=F.npy"),
        ([file, "--repeat", "0"], "is no count"),
        ([file, "--threads", "600"], "outside 1..512"),
        ([file, "--nonsense"], "not understood"),
        ([], "a file is missing"),
        ([tmp_path / "none.ggp"], "No such file"),
        ([tmp_path], "regular file"),
        ([tmp_path / "bare.ggp"], "holds no recordings"),
        ([tmp_path / "x.npy"], "no GGUF file"),
    ):
        done = called(runner, *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert why in done.stderr and done.stderr.count("\n") == 1
    listed = called(runner, file, "--list").stdout
    assert listed.count("recorded\n") == 2 and "  input   x float32 (5,)\n" in listed


def test_faults_of_the_data_are_told(runner: Path, tmp_path: Path) -> None:
    table, ids = TensorSpec(ggml.float32, (3, 2)), TensorSpec(ggml.int64, (2,))
    inputs = (Input("ids", Role.USER, ids), Input("table", Role.WEIGHT, table))
    rows = Node("aten.embedding.default", (Ref(1), Ref(0)), specs=(TensorSpec(ggml.float32, (2, 2)),))
    whole = replace(graph(rows), symbols=(), inputs=inputs, outputs=(Output("y", Role.USER, Ref(2)),))
    program = Program(whole, {"table": ggml.ones(3, 2)})
    program.record(np.array([0, 1]))
    program.save(tmp_path / "model.ggp")
    np.save(tmp_path / "ids.npy", np.array([0, 3]))
    done = called(runner, tmp_path / "model.ggp", "--input", f"ids={tmp_path}/ids.npy")
    assert (done.returncode, done.stderr) == (1, "ggml-run: index 3 is out of bounds for size 3\n")


@pytest.mark.parametrize("seed", range(4))
def test_hostile_files(runner: Path, tmp_path: Path, seed: int) -> None:
    """Changed anywhere, a file is refused in one line, or runs; no signal ends the process."""
    draw, refused = random.Random(seed), 0
    program, x = (scaled(), summing())[seed % 2], np.float32([1, -1, 0.5])
    program.record(x)
    program.save(tmp_path / "model.ggp")
    np.save(tmp_path / "x.npy", x)
    raw = (tmp_path / "model.ggp").read_bytes()
    at, length = raw.index(b"ggml.recordings"), 700
    for number in range(150):
        changed = (
            raw[:at] + mutated(raw[at : at + length], draw) + raw[at + length :] if number % 3 else mutated(raw, draw)
        )
        (tmp_path / "changed.ggp").write_bytes(changed)
        done = called(runner, tmp_path / "changed.ggp", "--input", f"x={tmp_path}/x.npy")
        assert done.returncode in (0, 1), (number, done.returncode, done.stderr)
        if done.returncode == 1:
            refused += 1
            assert done.stderr.startswith("ggml-run: ") and done.stderr.count("\n") == 1, done.stderr
    assert refused > 50


def test_page_on_embedding(tmp_path: Path) -> None:
    """The example of the page is compiled as it stands there, and computes what the program does."""
    page = (ROOT / "docs" / "ggml" / "embedding.md").read_text(encoding="utf-8")
    for kind, name in (("cmake", "CMakeLists.txt"), ("cpp", "application.cpp")):
        found = re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL)
        assert found is not None
        (tmp_path / name).write_text(found[1], encoding="utf-8")
    folder = built(tmp_path, tmp_path / "build", f"-DGGML_CLUSTER={ROOT}")
    spec, result = TensorSpec(ggml.float32, (1, 6)), TensorSpec(ggml.float32, (1, 6))
    sine = Node("aten.sin.default", (Ref(0),), specs=(result,))
    whole = replace(graph(sine), symbols=(), inputs=(Input("input", Role.USER, spec),))
    program = Program(whole, {})
    program.record(np.ones((1, 6), np.float32))
    program.save(tmp_path / "model.ggp")
    done = subprocess.run([folder / "application", tmp_path / "model.ggp"], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{np.sin(0.5):.6f}\n" * 6, done.stderr
