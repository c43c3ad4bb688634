"""What a wrong file is told, before anything of it is served."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.message import Message

import ggml
from cluster.api.errors import ClusterError, ModelFileError, UnsupportedModelError
from cluster.cutting.header import Header, read_header
from cluster.cutting.programs.check import check_program
from cluster.cutting.programs.cut import cut_program
from cluster.cutting.programs.cuts import cuts_of_program
from ggml.gguf.header import TensorInfo
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType, string
from ggml.programs.decoding import decode
from ggml.programs.encoding import encode
from ggml.programs.graph import KEY, Graph, Node, Ref
from ggml.programs.references import KEY as WEIGHTS
from ggml.programs.slices.places import cut_places
from ggml.programs.trees import LEAF, Tree
from protos import program_pb2
from tests.ggml.programs.slices.graphs import ROWS, chain, node, with_positions, with_state
from tests.unit.cutting.programs.files import header_of, model_of, saved


def test_a_sound_program_is_a_model_with_units(tmp_path: Path) -> None:
    model = model_of(tmp_path)
    assert model.num_layers == 4
    assert (model.text, model.why_no_text) == (None, "")
    assert list(model.named) == ["w0", "w1", "w2", "w3"]
    assert model.graph == chain(4)
    assert "generation gives int64 token ids" in model_of(tmp_path, with_state()).why_no_text


def test_cuts_as_data(tmp_path: Path) -> None:
    found = cuts_of_program(model_of(tmp_path, with_positions()))
    assert [(cut.unit, cut.op, cut.arrays, cut.num_bytes) for cut in found] == [
        (1, "aten.add.Tensor", ("positions", "value.8"), 36)
    ]


def test_quantised_weights_are_sound(tmp_path: Path) -> None:
    wide = replace(ROWS, shape=(ROWS.shape[0], 32))
    square = replace(ROWS, shape=(32, 32))
    graph = chain(2)
    graph = replace(
        graph,
        inputs=(replace(graph.inputs[0], spec=wide), *[replace(one, spec=square) for one in graph.inputs[1:]]),
        nodes=tuple(
            replace(one, op="aten.linear.default" if "mm" in one.op else one.op, specs=(wide,)) for one in graph.nodes
        ),
    )
    tensors = {f"w{layer}": ggml.quantization.quantize(ggml.randn(32, 32), ggml.q8_0) for layer in range(2)}
    model = check_program(read_header(saved(tmp_path, graph, tensors)))
    assert {one.dtype.name for one in model.named.values()} == {"q8_0"}
    assert model.num_layers == 2


def with_graph(header: Header, graph: Graph) -> Header:
    return with_bytes(header, encode(graph))


def with_bytes(header: Header, raw: bytes) -> Header:
    value = MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.UINT8, len(raw), raw))
    return replace(header, metadata={**header.metadata, KEY: value})


def with_key(header: Header, key: str, value: MetadataValue) -> Header:
    return replace(header, metadata={**header.metadata, key: value})


def with_tensor(header: Header, place: int, **changes: object) -> Header:
    tensors = list(header.tensors)
    tensors[place] = replace(tensors[place], **changes)  # type: ignore[arg-type]
    return replace(header, tensors=tuple(tensors))


def with_op(op: str) -> Callable[[Header], Header]:
    def change(header: Header) -> Header:
        message = program_pb2.Program.FromString(encode(chain(4)))
        message.nodes[1].op = op
        return with_bytes(header, message.SerializeToString())

    return change


def one_more(header: Header) -> Header:
    last: TensorInfo = header.tensors[-1]
    return replace(header, tensors=(*header.tensors, replace(last, name="another")))


CHANGES: dict[str, tuple[Callable[[Header], Header], type[ClusterError], str]] = {
    "a tensor that is missing": (
        lambda h: replace(h, tensors=h.tensors[:-1]), ModelFileError, "tensor 'w3'.*the file lacks it",
    ),
    "no tensors": (lambda h: replace(h, tensors=()), ModelFileError, "tensor 'w0'.*the file lacks it"),
    "a tensor too much": (one_more, ModelFileError, "tensor 'another'.*no operation reads it"),
    "a tensor of another name": (
        lambda h: with_tensor(h, 0, name="\x1b[31m"), ModelFileError, r"no operation reads it",
    ),
    "another shape": (
        lambda h: with_tensor(h, 2, shape=(9, 1)), ModelFileError, r"tensor 'w2'.*\(9, 1\), .* wants.*\(3, 3\)",
    ),
    "weights in another file": (
        lambda h: with_key(h, WEIGHTS, string("{}")), ModelFileError, "its weights are in another file",
    ),
    "an operation that is unknown": (with_op("aten.nonsense.default"), ModelFileError, "there is no rule"),
    "an operation of another kind": (with_op("os.system"), ModelFileError, "there is no rule"),
    "no program": (
        lambda h: replace(h, metadata={k: v for k, v in h.metadata.items() if k != KEY}), ModelFileError, "no array",
    ),
    "a text where the program is": (lambda h: with_key(h, KEY, string("x")), ModelFileError, "no array"),
    "bytes that are no program": (lambda h: with_bytes(h, b"\xff" * 50), ModelFileError, "program"),
    "no bytes at all": (lambda h: with_bytes(h, b""), ModelFileError, "version"),
    "another program": (lambda h: with_graph(h, chain(3)), ModelFileError, "tensor 'w3'.*no operation reads it"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_wrong_file_is_told_what_is_wrong(name: str, tmp_path: Path) -> None:
    change, kind, why = CHANGES[name]
    with pytest.raises(kind, match=why) as error:
        check_program(change(header_of(tmp_path)))
    assert "model.ggp" in str(error.value)
    assert str(error.value).isprintable()


def test_an_operation_that_cannot_run_is_named(tmp_path: Path) -> None:
    """Known, but its arguments are such that it fails."""
    graph = chain(4)
    wrong = replace(
        graph, nodes=(*graph.nodes[:1], node("unsqueeze.default", graph.nodes[1].args[0], 7), *graph.nodes[2:])
    )
    with pytest.raises(UnsupportedModelError, match=r"aten\.unsqueeze\.default"):
        check_program(with_graph(header_of(tmp_path), wrong))


def messages_in(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if isinstance(value, Iterable) else [value]:
                yield from messages_in(one)


def changed(raw: bytes, chance: random.Random) -> bytes:
    """Another byte, or a sound message in which numbers and texts have been exchanged for others of it."""
    if chance.random() < 0.3:
        place = chance.randrange(len(raw))
        return raw[:place] + bytes([chance.randrange(256)]) + raw[place + 1 :]
    message = program_pb2.Program.FromString(raw)
    everything = list(messages_in(message))
    texts = [value for one in everything for _, value in one.ListFields() if isinstance(value, str)]
    for _ in range(chance.randint(1, 2)):
        one = chance.choice(everything)
        for field, value in chance.sample(one.ListFields(), min(1, len(one.ListFields()))):
            if isinstance(value, str):
                setattr(one, field.name, chance.choice(texts))
            elif isinstance(value, int):
                setattr(one, field.name, chance.choice([0, 1, 2, 3, value + 1, max(0, value - 1)]))
            elif chance.random() < 0.3:
                one.ClearField(field.name)
    return message.SerializeToString()


def _check_changed(tmp_path: Path, graph: Graph, times: int) -> tuple[int, int]:
    """A header whose program was changed is refused by our errors, or each of its units can be cut."""
    header, raw, chance = header_of(tmp_path, graph), encode(graph), random.Random(0)
    num_refused = num_sound = 0
    for _ in range(times):
        try:
            model = check_program(with_bytes(header, changed(raw, chance)))
        except ClusterError:
            num_refused += 1
            continue
        num_sound += 1
        for unit in range(model.num_layers):
            cut_program(model, unit, unit + 1)
            decode(encode(model.part(unit, unit + 1)), "slice")
    return num_refused, num_sound


@pytest.mark.parametrize("graph", [with_positions(), with_state()], ids=["positions", "state"])
def test_changed_programs_are_refused_or_can_be_cut(graph: Graph, tmp_path: Path) -> None:
    num_refused, num_sound = _check_changed(tmp_path, graph, 300)
    assert num_refused > 100
    assert num_sound > 10


@pytest.mark.slow
@pytest.mark.parametrize("graph", [with_positions(), with_state(), chain(4)], ids=["positions", "state", "chain"])
def test_many_changed_programs_are_refused_or_can_be_cut(graph: Graph, tmp_path: Path) -> None:
    num_refused, num_sound = _check_changed(tmp_path, graph, 1500)
    assert min(num_refused, num_sound) > 50


def test_two_outputs_of_one_name_are_refused(tmp_path: Path) -> None:
    graph = chain(2)
    (output,) = graph.outputs
    inner = Tree("dict", (LEAF,), ("b",))
    twice = replace(graph, outputs=(output, output), out_tree=Tree("dict", (LEAF, inner), ("a.b", "a")))
    with pytest.raises(ModelFileError, match=r"output 'a.b': is the name of two of them"):
        model_of(tmp_path, twice)


def test_very_many_values_over_one_place_take_little_memory(tmp_path: Path) -> None:
    """Each of some thousand products is read at the end: no place is kept that all of them cross."""
    graph = chain(2)
    first = len(graph.inputs)
    many = [node("mul.Tensor", Ref(0), Ref(0)) for _ in range(4000)]
    values = tuple(Ref(first + place) for place in range(4000))
    wide = replace(ROWS, shape=(ROWS.shape[0], 4000 * ROWS.shape[1]))
    last = Node("aten.cat.default", (values, 1), (), (wide,))
    graph = replace(graph, nodes=(*many, last), outputs=(replace(graph.outputs[0], value=Ref(first + 4000)),))
    tracemalloc.start()
    assert cut_places(graph) == ()
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
