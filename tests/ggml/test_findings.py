"""What random calls (tests/ggml/fuzz.py) once found."""

from __future__ import annotations

import pytest

import ggml


def test_results_without_elements_are_compiled() -> None:
    compiled = ggml.compile(lambda x: (x[:0], x * 2, x.reshape(0, 3) if 0 in x.shape else x.reshape(-1)))
    empty, doubled, flat = compiled(ggml.ones(2))
    assert (empty.shape, doubled.tolist(), flat.tolist()) == ((0,), [2, 2], [1, 1])
    assert [tuple(one.shape) for one in compiled(ggml.ones(0))] == [(0,), (0,), (0, 3)]
    assert ggml.compile(lambda x: x[:, :0])(ggml.ones(2, 3, dtype=ggml.int64)).dtype is ggml.int64


def test_the_method_where_begins_with_the_values() -> None:
    x = ggml.tensor([1.0, 2.0])
    assert x.where(ggml.tensor([False, True]), 5).tolist() == [5, 2]
    assert ggml.where(ggml.tensor([False, True]), x, 5).tolist() == [5, 2]


def test_quantised_as_bool() -> None:
    weight = ggml.from_buffer(bytes(34), dtype=ggml.q8_0, shape=(1, 32))
    assert not weight.bool().any()
    assert not weight.long().any()
    assert weight.int().dtype is ggml.int32


@pytest.mark.parametrize(
    "call",
    [
        lambda: ggml.linspace(0, 1, 1 << 40),
        lambda: ggml.arange(1 << 44),
        lambda: ggml.eye(1 << 22),
        lambda: ggml.zeros(0, 1 << 40).sum(0),
        lambda: ggml.zeros(0, 1 << 41).prod(0),
    ],
)
def test_arrays_of_the_host_that_cannot_be(call: object) -> None:
    with pytest.raises(MemoryError):
        call()  # type: ignore[operator]
    with pytest.raises(ggml.ArgumentError):
        ggml.triu_indices(0, 1 << 40)


def test_quantised_tensors_are_no_results() -> None:
    weight = ggml.from_buffer(bytes(34), dtype=ggml.q8_0, shape=(1, 32))
    for look in (lambda x: x.T, lambda x: x.permute(0, 1)):
        with pytest.raises(ggml.UnsupportedOpError):
            ggml.eval(look(weight))
        with pytest.raises(ggml.UnsupportedOpError):
            ggml.compile(look)(weight)


def test_bools_have_an_order() -> None:
    x = ggml.tensor([True, False, True])
    assert x.sort().indices.tolist() == [1, 0, 2]
    assert x.clamp(2).tolist() == [2, 2, 2]
    assert x.masked_fill(x, 0.5).tolist() == [True, False, True]


def test_fills_that_are_cut_off_or_not_known_yet() -> None:
    x, mask = ggml.arange(3), ggml.tensor([True, False, True])
    assert x.masked_fill(mask, 2.7).tolist() == [2, 1, 2]
    fill = ggml.compile(lambda x, value: x.masked_fill(x.eq(0), value))
    assert fill(x, ggml.tensor(7.0)).tolist() == [7, 1, 2]
    with pytest.raises(ggml.ArgumentError):
        x.masked_fill(mask, float("inf"))
    with pytest.raises(ggml.ShapeMismatchError):
        x.masked_fill(mask, ggml.tensor([1]))


def test_small_agreements_with_torch() -> None:
    yes = ggml.tensor([True, False])
    assert yes.any(()).tolist() == yes.all(dim=()).tolist() == [True, False]
    assert yes.add(True, alpha=0).tolist() == [True, False]
    with pytest.raises(ggml.DTypeError):
        ggml.isclose(yes, yes, atol=None)  # type: ignore[arg-type]
    assert yes.sign().tolist() == [True, False]
    assert ggml.isclose(yes, ggml.tensor([True, True]), rtol=3.0).tolist() == [True, True]
    assert ggml.tensor([1.0]).copysign(-2).item() == -1
    assert ggml.zeros(2).copy_(True).tolist() == [1, 1]
    assert ggml.zeros(2, 3).gather(0, ggml.zeros(4, 0, dtype=ggml.int64)).shape == (4, 0)
    assert ggml.zeros(0)[False, ggml.tensor([5])].shape == (0,)
    assert ggml.arange(3).logsumexp(0).dtype is ggml.float32


def test_a_value_with_more_heads_than_its_key() -> None:
    query, key, value = (ggml.randn(*shape) for shape in ((1, 2, 33), (1, 2, 33), (33, 2, 1)))
    found = ggml.nn.functional.scaled_dot_product_attention(query, key, value)
    expected = (query @ key.transpose(-2, -1) / 33**0.5).softmax(-1) @ value
    assert found.shape == (33, 2, 1) and ggml.allclose(found, expected, atol=1e-6)


def test_one_class_without_axes() -> None:
    assert ggml.nn.functional.gumbel_softmax(ggml.tensor(0.3), 0.5, hard=True).item() == 1.0


def test_the_matrix_of_a_triangular_system_has_the_leading_extents_of_its_solution() -> None:
    solution, matrix = ggml.triangular_solve(ggml.randn(2, 3, 4), ggml.eye(3))
    assert (solution.shape, matrix.shape) == ((2, 3, 4), (2, 3, 3))


@pytest.mark.parametrize("p", [1e-5, 0.5, 2, 3, -2.5, 1e5])
def test_the_norm_of_one_element_is_its_size_whatever_the_power(p: float) -> None:
    x = ggml.tensor([[[0.3], [-1.1], [0.0]]], requires_grad=True)
    found = x.norm(p, (0, 2))
    assert found.tolist() == ggml.tensor([0.3, 1.1, 0.0]).tolist()
    found.sum().backward()
    assert x.grad.flatten().tolist() == [1, -1, 0]
