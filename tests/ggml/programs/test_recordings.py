"""Recorded shapes: what a file has of them is a whole native graph, which gives what the program gives."""

from __future__ import annotations

import mmap
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ggml
from ggml.__main__ import main
from ggml.core.errors import FileFormatError
from ggml.io.mapped import open_mapped
from ggml.ops.create.interop import from_buffer
from ggml.programs.expressions import Symbol
from ggml.programs.graph import Graph, Input, Output, Ref, Role, TensorSpec
from ggml.programs.program import Program
from ggml.programs.recordings.decoding import decode
from ggml.programs.recordings.recorded import Range
from protos import program_pb2 as pb
from tests.ggml.programs.graphs import VECTOR, graph, node
from tests.ggml.programs.test_files import scaled
from tests.ggml.programs.test_hostile import mutated
from worker_native import Graph as NativeGraph


def summing() -> Program:
    """total += x for any length; gives total * w, where w + w is worked out beforehand."""
    fixed = TensorSpec(ggml.float32, (3,))
    whole = graph(
        node("add.Tensor", Ref(1), Ref(1)),
        node("add.Tensor", Ref(2), Ref(0)),
        node("mul.Tensor", Ref(4), Ref(3)),
        weights=("w",),
    )
    inputs = (
        Input("x", Role.USER, fixed),
        Input("w", Role.WEIGHT, fixed),
        Input("total", Role.STATE, fixed),
    )
    outputs = (Output("total", Role.STATE, Ref(4)), Output("y", Role.USER, Ref(5)))
    return Program(
        replace(whole, inputs=inputs, outputs=outputs), {"w": ggml.tensor([1.0, 2.0, 3.0]), "total": ggml.zeros(3)}
    )


def native(program: Program, *given: ggml.Tensor) -> list[np.ndarray]:
    """The outputs of the recording for what is given, computed by its native graph alone."""
    one = next(one for one in program.recordings.by_shapes.values() if one.inputs[0].shape == tuple(given[0].shape))
    shared = program.recordings.memory.array()
    buffers = []
    for source in one.sources:
        if isinstance(source, int):
            buffers.append(given[source].buffer())
        elif isinstance(source, str):
            buffers.append(program.weights[source].buffer())
        else:
            assert isinstance(source, Range)
            raw = shared[source.offset : source.offset + source.num_bytes]
            buffers.append(from_buffer(raw, dtype=ggml.float32).buffer())
    results = NativeGraph("CPU", *one.steps, np.array(one.results, np.int64)).run(buffers)
    return [
        np.from_dlpack(buffer.view(list(slot.shape), 2, 32, 1, 0))
        for buffer, slot in zip(results, one.outputs, strict=True)
    ]


def test_recording_is_the_program(tmp_path: Path) -> None:
    program = summing()
    x = ggml.tensor([1.0, -1.0, 0.5])
    program.record(x)
    program.save(tmp_path / "model.ggp")
    again = ggml.load_program(tmp_path / "model.ggp")
    total, y = native(again, x, again.state["total"])
    assert y.tolist() == program(x).tolist() == [2.0, -4.0, 3.0]
    assert total.tolist() == program.state["total"].tolist() == [1.0, -1.0, 0.5]
    assert again(x).tolist() == y.tolist()
    # Twice the weight was worked out, lies in the shared memory, and is in no step.
    assert sum(isinstance(source, Range) for source in again.recordings.by_shapes[((3,),)].sources) == 1


def test_each_shape_has_its_own(tmp_path: Path) -> None:
    whole = graph(node("mul.Tensor", Ref(0), 2.0), node("relu.default", Ref(1)))
    program = Program(whole, {})
    for count in (2, 5, 2):
        program.record(np.ones(count, np.float32))
    program.save(tmp_path / "model.ggp")
    again = ggml.load_program(tmp_path / "model.ggp")
    assert sorted(again.recordings.by_shapes) == [((2,),), ((5,),)]
    x = ggml.arange(5.0) - 2
    assert native(again, x)[0].tolist() == [0, 0, 0, 2, 4]


def test_a_loaded_program_records_more_and_saves_all(tmp_path: Path) -> None:
    program = Program(graph(node("mul.Tensor", Ref(0), 2.5)), {})
    program.record(np.ones(2, np.float32))
    program.save(tmp_path / "one.ggp")
    again = ggml.load_program(tmp_path / "one.ggp")
    again.record(np.ones(3, np.float32))
    again.save(tmp_path / "two.ggp")
    last = ggml.load_program(tmp_path / "two.ggp")
    for count in (2, 3):
        assert native(last, ggml.ones(count))[0].tolist() == [2.5] * count


def test_what_a_file_has_is_not_added_again(tmp_path: Path) -> None:
    program, x = summing(), np.ones(3, np.float32)
    program.record(x)
    program.save(tmp_path / "model.ggp")
    again = ggml.load_program(tmp_path / "model.ggp")
    before = again.recordings.memory.num_bytes
    again.record(x)
    assert again.recordings.memory.num_bytes == before > 0


def test_inspect_shows_what_was_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = Program(graph(node("mul.Tensor", Ref(0), 2.5)), {})
    for count in (2, 7):
        program.record(np.ones(count, np.float32))
    program.save(tmp_path / "model.ggp")
    assert main(["inspect", str(tmp_path / "model.ggp")]) == 0
    shown = capsys.readouterr().out
    assert [line.split() for line in shown.splitlines() if line.startswith("x ")][1:] == [["x", "(2,)"], ["x", "(7,)"]]


def test_bad_arguments_are_those_of_a_call() -> None:
    with pytest.raises(ggml.ShapeMismatchError):
        Program(graph(node("mul.Tensor", Ref(0), 2.5)), {}).record(np.ones(9, np.float32))


def message() -> tuple[pb.Recordings, Graph]:
    program = scaled()
    program.record(np.ones(3, np.float32))
    from ggml.programs.recordings.encoding import encode

    raw = encode(program.recordings.by_shapes.values(), {"a.weight": "a.weight"})
    return pb.Recordings.FromString(raw), program.graph


def refusal(changed: bytes, whole: Graph) -> None:
    decode(changed, "x.ggp", whole, {"a.weight": 12}, 64)


CHANGES: dict[str, tuple[Callable[[pb.Recording], object], str]] = {
    "an input of another name": (lambda m: setattr(m.inputs[0], "name", "z"), r"inputs\[0\]: is 'z'"),
    "an input twice": (lambda m: m.inputs.append(m.inputs[0]), r"inputs\[1\]: is 'x'"),
    "a weight as input": (lambda m: setattr(m.inputs[0], "role", pb.ROLE_WEIGHT), "has the role 2"),
    "an unknown dtype": (lambda m: setattr(m.inputs[0], "dtype", "q4_k"), "dtype 'q4_k'"),
    "nine axes": (lambda m: m.inputs[0].shape.extend([1] * 8), "has the shape"),
    "a huge extent": (lambda m: m.inputs[0].shape.append(1 << 60), "has the shape"),
    "too small an input": (lambda m: m.inputs[0].shape.__setitem__(0, 2), "needs more of it"),
    "a step that is not there": (lambda m: setattr(m.outputs[0], "step", 6), "is the step 6 of 6"),
    "an output in place that is no state": (lambda m: setattr(m.outputs[0], "in_place", True), "and no state"),
    "a missing source": (lambda m: m.sources.pop(), "are 1 for 2 inputs"),
    "an empty source": (lambda m: m.sources[0].Clear(), "no part of 64 bytes"),
    "an input that is not there": (lambda m: setattr(m.sources[1], "input", 1), "is the input 1 of 1"),
    "a tensor that is not there": (lambda m: setattr(m.sources[0], "tensor", "b"), "no tensor of the file"),
    "a range beyond the end": (lambda m: m.sources[0].range.MergeFrom(pb.Range(offset=56, num_bytes=12)), "no part"),
    "a range too short": (lambda m: m.sources[0].range.MergeFrom(pb.Range(num_bytes=8)), "no part"),
    "a step cut short": (lambda m: m.words.pop(), "end inside|no whole step"),
    "a name that is not there": (lambda m: m.words.__setitem__(0, 9), "no whole step"),
    "a type that is not there": (lambda m: m.words.__setitem__(1, 999), "of the type 999"),
    "no extent": (lambda m: m.words.__setitem__(2, 0), "with the extents"),
    "too large extents": (lambda m: m.words.__setitem__(2, 1 << 50), "with the extents"),
    "a later step": (lambda m: m.words.__setitem__(16 + 8, 2), "not before it"),
    "a number of sources": (lambda m: m.words.__setitem__(6, 1 << 40), "words"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_change_is_refused(name: str) -> None:
    change, why = CHANGES[name]
    changed, whole = message()
    change(changed.recordings[0])
    with pytest.raises(FileFormatError, match=why):
        refusal(changed.SerializeToString(), whole)


def test_version_and_repetitions_are_refused() -> None:
    changed, whole = message()
    refusal(changed.SerializeToString(), whole)
    twice = pb.Recordings(version=1, memory="ggml.recorded", recordings=[changed.recordings[0]] * 2)
    with pytest.raises(FileFormatError, match="twice"):
        refusal(twice.SerializeToString(), whole)
    changed.memory = "x"
    with pytest.raises(FileFormatError, match="memory: is 'x'"):
        refusal(changed.SerializeToString(), whole)
    changed.version = 2
    with pytest.raises(FileFormatError, match="version: is 2"):
        refusal(changed.SerializeToString(), whole)


def test_mutations_are_errors_of_ours() -> None:
    draw = random.Random(3)
    whole_message, whole = message()
    raw, refused = whole_message.SerializeToString(), 0
    for _ in range(400):
        try:
            refusal(mutated(raw, draw), whole)
        except FileFormatError:
            refused += 1
    assert refused > 200


def test_keys_of_other_kinds_are_refused(tmp_path: Path) -> None:
    from ggml.io.writing import write
    from ggml.programs.encoding import encode

    whole = graph(node("relu.default", Ref(0)))
    write(str(tmp_path / "a.ggp"), {}, "x", {"ggml.program": encode(whole), "ggml.recordings": b"\xff"})
    with pytest.raises(FileFormatError, match=r"ggml\.recordings: is no message"):
        ggml.load_program(tmp_path / "a.ggp")
    assert open_mapped(str(tmp_path / "a.ggp"), mmap.ACCESS_READ).array_of_bytes("general.architecture") is None


def test_symbols_are_no_part_of_a_recording() -> None:
    program = Program(graph(node("relu.default", Ref(0))), {})
    assert VECTOR.shape == (Symbol(0),)
    program.record(np.ones(4, np.float32))
    assert program.recordings.by_shapes[((4,),)].inputs[0].shape == (4,)
