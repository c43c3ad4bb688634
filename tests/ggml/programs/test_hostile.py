"""Files that somebody changed: each is refused with an error that says where, or runs; nothing else can happen."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ggml
from ggml.core.errors import FileFormatError, GgmlError
from ggml.programs.decoding import decode
from ggml.programs.encoding import encode
from ggml.programs.graph import Node, Ref
from protos import program_pb2 as pb
from tests.ggml.programs.graphs import graph, node
from tests.ggml.programs.test_files import scaled


def message() -> pb.Program:
    whole = graph(node("mul.Tensor", Ref(0), 2.0), node("relu.default", Ref(1)))
    return pb.Program.FromString(encode(whole))


def deep(levels: int) -> pb.Expression:
    found = pb.Expression(symbol=0)
    for _ in range(levels):
        found = pb.Expression(apply=pb.Application(function="add", arguments=[found, pb.Expression(integer=1)]))
    return found


CHANGES: dict[str, tuple[Callable[[pb.Program], object], str]] = {
    "another version": (lambda m: setattr(m, "version", 9), r"program\.version: is 9"),
    "a later value": (lambda m: setattr(m.nodes[0].args[0], "value", 1), "reads a value that is not there"),
    "its own value": (lambda m: setattr(m.nodes[1].args[0], "value", 2), "reads a value that is not there"),
    "a huge value": (lambda m: setattr(m.outputs[0].value, "value", 1 << 31), "is none of 3 values"),
    "an unknown op": (lambda m: setattr(m.nodes[0], "op", "os.system"), "no rule"),
    "too many arguments": (lambda m: m.nodes[1].args.extend([pb.Argument(integer=1)] * 3), "other arguments"),
    "no arguments": (lambda m: m.nodes[1].ClearField("args"), "other arguments"),
    "an unknown name": (
        lambda m: m.nodes[1].kwargs.append(pb.NamedArgument(name="x", argument=pb.Argument(none=True))),
        "other arguments",
    ),
    "an empty argument": (lambda m: m.nodes[0].args.append(pb.Argument()), "has no value"),
    "an unknown dtype": (lambda m: setattr(m.inputs[0].spec, "dtype", "float8"), "unknown dtype"),
    "an unknown symbol": (lambda m: setattr(m.inputs[0].spec.shape[0], "symbol", 3), "names the symbol 3 of 1"),
    "an unknown function": (
        lambda m: m.inputs[0].spec.shape.append(pb.Expression(apply=pb.Application(function="eval"))),
        "unknown function 'eval'",
    ),
    "a function without arguments": (
        lambda m: m.inputs[0].spec.shape.append(pb.Expression(apply=pb.Application(function="mod"))),
        "gives mod 0 arguments",
    ),
    "a deep expression": (lambda m: m.inputs[0].spec.shape.append(deep(40)), "no message|too deep"),
    "a negative extent": (lambda m: m.inputs[0].spec.shape.append(pb.Expression(integer=-1)), "has the extent -1"),
    "a fraction as extent": (lambda m: m.inputs[0].spec.shape.append(pb.Expression(real=0.5)), r"has the extent 0\.5"),
    "nine axes": (lambda m: m.inputs[0].spec.shape.extend([pb.Expression(integer=1)] * 8), "9 axes"),
    "bounds the wrong way": (lambda m: setattr(m.symbols[0], "low", 9), "within"),
    "no role": (lambda m: setattr(m.inputs[0], "role", 0), "unknown role"),
    "an input of the file": (lambda m: setattr(m.inputs[0], "role", pb.ROLE_WEIGHT), "0 inputs"),
    "a weight as output": (lambda m: setattr(m.outputs[0], "role", pb.ROLE_WEIGHT), "writes a weight"),
    "a state that is none": (lambda m: setattr(m.outputs[0], "role", pb.ROLE_STATE), "for a state of the name"),
    "another tree": (lambda m: setattr(m.in_tree, "kind", "list"), "not a pair"),
    "an unknown tree": (lambda m: setattr(m.out_tree, "kind", "class"), "of the kind 'class'"),
    "two leaves": (lambda m: m.in_tree.items[0].items.add(kind="leaf"), "2 leaves for 1 inputs"),
    "keys without items": (lambda m: m.in_tree.items[1].keys.append("x"), "with the keys"),
    "a name twice": (lambda m: m.inputs.append(m.inputs[0]), "have a name twice"),
    "results without a tuple": (lambda m: m.nodes[0].specs.append(m.nodes[0].specs[0]), "no tuple"),
    "an argument twice": (
        lambda m: m.nodes[1].kwargs.extend([pb.NamedArgument(name="x", argument=pb.Argument(none=True))] * 2),
        "an argument twice",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_change_is_refused(name: str) -> None:
    change, why = CHANGES[name]
    changed = message()
    change(changed)
    with pytest.raises(FileFormatError, match=why):
        decode(changed.SerializeToString(), "x.ggp")


def test_unchanged_is_not() -> None:
    assert decode(message().SerializeToString(), "x.ggp").nodes[1].op == "aten.relu.default"


@pytest.mark.parametrize(
    "args",
    [
        [pb.Argument(text="x")],
        [pb.Argument(value=0)],
        [pb.Argument(integer=-5)],
        [pb.Argument(items=pb.Arguments(items=[pb.Argument(integer=1 << 62)] * 3))],
        [pb.Argument(items=pb.Arguments(items=[pb.Argument(text="x")]))],
        [pb.Argument(dtype="q4_k")],
    ],
)
@pytest.mark.parametrize("op", ["aten.view.default", "aten.unbind.int", "aten.index.Tensor", "aten.repeat.default"])
def test_arguments_of_other_types_are_errors_of_ours(op: str, args: list[pb.Argument]) -> None:
    """The file is sound, and only the operation can tell; it does so before anything is computed."""
    changed = message()
    changed.nodes[0].op = op
    del changed.nodes[0].args[1:]
    changed.nodes[0].args.extend(args)
    del changed.inputs[0].spec.shape[:]
    changed.inputs[0].spec.shape.append(pb.Expression(integer=3))
    program = ggml.export.Program(decode(changed.SerializeToString(), "x.ggp"), {})
    with pytest.raises(GgmlError):
        program(np.ones(3, np.float32))


def mutated(raw: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, left out, doubled, or all from one on."""
    changed = bytearray(raw)
    for _ in range(draw.choice((1, 1, 1, 2, 8))):
        at = draw.randrange(max(len(changed), 1))
        kind = draw.randrange(5)
        if not changed:
            break
        if kind == 0:
            changed[at] = draw.randrange(256)
        elif kind == 1:
            changed[at] ^= 1 << draw.randrange(8)
        elif kind == 2:
            del changed[at : at + draw.randrange(1, 9)]
        elif kind == 3:
            changed[at:at] = changed[at : at + draw.randrange(1, 17)]
        else:
            changed = changed[: at + 1]
    return bytes(changed)


def survive(count: int, seed: int, folder: Path) -> tuple[int, int]:
    """Mutations of the graph alone and of the whole file: how many were refused, and how many ran."""
    draw = random.Random(seed)
    file = folder / "model.ggp"
    scaled().save(file)
    raw, bare = file.read_bytes(), encode(scaled().graph)
    refused = ran = 0
    for number in range(count):
        try:
            if number % 3 == 0:
                file.write_bytes(mutated(raw, draw))
                program = ggml.load_program(file)
            else:
                graph = decode(mutated(bare, draw), "x.ggp")
                program = ggml.export.Program(graph, {"a.weight": ggml.tensor([1.0, -2.0, 3.0])})
            program.coverage()
            program(np.float32([2, 2, -2]))
            ran += 1
        except GgmlError:
            refused += 1
    return refused, ran


def test_mutations(tmp_path: Path) -> None:
    refused, ran = survive(400, 1, tmp_path)
    assert refused > 200
    assert ran > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_many_mutations(seed: int, tmp_path: Path) -> None:
    survive(4000, 100 + seed, tmp_path)


def test_a_number_too_large_for_the_dtype_is_infinite() -> None:
    assert (ggml.ones(2) + 1e300).tolist() == [float("inf")] * 2


def test_a_chain_longer_than_the_stack_is_deep() -> None:
    chain = graph(*[node("relu.default", Ref(place)) for place in range(80_000)])
    assert ggml.export.Program(chain, {})(np.array([-1, 2], np.float32)).tolist() == [0, 2]


@pytest.mark.parametrize(
    "table", [node("arange.default", 1 << 30), node("eye.default", 1 << 15), node("linspace.default", 0, 1, 1 << 30)]
)
def test_a_table_that_no_model_has_is_refused(table: Node) -> None:
    program = ggml.export.Program(graph(table, node("relu.default", Ref(0))), {})
    with pytest.raises(ggml.ArgumentError, match="at most 16777216 are worked out on the host"):
        program(np.ones(2, np.float32))


def test_many_tables_are_refused() -> None:
    tables = [node("arange.default", (1 << 24) - place) for place in range(6)]
    with pytest.raises(ggml.ArgumentError, match="of a call have over 67108864 elements together"):
        ggml.export.Program(graph(*tables, node("relu.default", Ref(0))), {})(np.ones(2, np.float32))
