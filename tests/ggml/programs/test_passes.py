"""Each pass on graphs written by hand."""

from __future__ import annotations

from dataclasses import replace

from ggml.core.dtypes import float16, float32
from ggml.programs.graph import Ref, TensorSpec
from ggml.programs.passes import simplified
from ggml.programs.passes.dead import without_dead
from ggml.programs.passes.identity import without_identities
from ggml.programs.passes.repeated import without_repeated
from tests.ggml.programs.graphs import VECTOR, graph, node


def test_copies_and_dropouts_go() -> None:
    before = graph(
        node("clone.default", Ref(0)), node("relu.default", Ref(1)), node("dropout.default", Ref(2), 0.5, False),
        node("alias.default", Ref(3)),
    )  # fmt: skip
    after = without_identities(before)
    assert [one.op for one in after.nodes] == ["aten.relu.default"]
    assert after.nodes[0].args == (Ref(0),)
    assert after.outputs[0].value == Ref(1)
    assert dict(after.stripped) == {"aten.clone.default": 1, "aten.dropout.default": 1, "aten.alias.default": 1}


def test_what_is_copied_over_a_tensor_is_given_in_its_place() -> None:
    before = graph(node("exp.default", Ref(0)), node("copy.default", Ref(0), Ref(1)), node("sin.default", Ref(2)))
    after = without_identities(before)
    assert [one.op for one in after.nodes] == ["aten.exp.default", "aten.sin.default"]
    assert after.nodes[1].args == (Ref(1),)
    spread = replace(before.nodes[1], specs=(TensorSpec(float32, (2, *VECTOR.shape)),))
    before = replace(before, nodes=(before.nodes[0], spread, before.nodes[2]))
    assert without_identities(before) == before, "it is spread over a larger one"


def test_dropout_in_training_stays() -> None:
    before = graph(node("dropout.default", Ref(0), 0.5, True))
    assert without_identities(before) == before


def test_casts_go_only_where_the_dtype_is_there() -> None:
    cast = node("_to_copy.default", Ref(0))
    same = replace(cast, kwargs=(("dtype", float32),))
    other = replace(cast, kwargs=(("dtype", float16),), specs=(TensorSpec(float16, VECTOR.shape),))
    assert without_identities(graph(same)).nodes == ()
    assert len(without_identities(graph(other)).nodes) == 1


def test_dead_nodes_and_weights_go() -> None:
    before = graph(
        node("exp.default", Ref(1)), node("relu.default", Ref(0)), node("add.Tensor", Ref(3), Ref(4)), result=4,
        weights=("a", "b"),
    )  # fmt: skip
    after = without_dead(before)
    assert [one.op for one in after.nodes] == ["aten.relu.default"]
    assert [one.name for one in after.inputs] == ["x"]
    assert after.outputs[0].value == Ref(1)


def test_equal_nodes_are_one() -> None:
    before = graph(
        node("exp.default", Ref(0)), node("exp.default", Ref(0)), node("sin.default", Ref(1)),
        node("sin.default", Ref(2)), node("add.Tensor", Ref(3), Ref(4)),
    )  # fmt: skip
    after = without_repeated(before)
    assert [one.op for one in after.nodes] == ["aten.exp.default", "aten.sin.default", "aten.add.Tensor"]
    assert after.nodes[2].args == (Ref(2), Ref(2))


def test_one_and_true_are_not_equal() -> None:
    before = graph(node("mul.Tensor", Ref(0), 1), node("mul.Tensor", Ref(0), True), node("mul.Tensor", Ref(0), 1.0))
    assert len(without_repeated(before).nodes) == 3


def test_all_passes_together() -> None:
    before = graph(
        node("clone.default", Ref(0)), node("exp.default", Ref(0)), node("exp.default", Ref(1)),
        node("cos.default", Ref(2)), node("neg.default", Ref(3)),
    )  # fmt: skip
    assert [one.op for one in simplified(before).nodes] == ["aten.exp.default", "aten.neg.default"]
