"""Loading a state dict: from PyTorch, numpy, ggml; all or nothing."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import numpy as np
import torch

import ggml
from ggml import nn
from tests.ggml.both import twins


def _net(library: Any) -> Any:
    return library.Sequential(library.Linear(3, 4), library.Sequential(library.BatchNorm1d(4), library.Linear(4, 2)))


def _values(module: Any) -> dict[str, Any]:
    return {name: value.tolist() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_every_dtype_of_torch(dtype: Any) -> None:
    theirs, ours = _net(torch.nn).to(dtype), _net(nn)
    ours.load_state_dict(theirs.state_dict())
    assert {value.dtype for value in ours.state_dict().values()} == {ggml.float32, ggml.int64}
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name].numpy(), value.float().numpy())


def test_parameters_that_are_differentiated_and_arrays() -> None:
    theirs, ours = _net(torch.nn), _net(nn)
    ours.load_state_dict({**theirs.state_dict(), **dict(theirs.named_parameters())})
    assert _values(ours) == _values(theirs)
    arrays = {name: value.numpy().astype(np.float64) for name, value in theirs.state_dict().items()}
    again = _net(nn)
    again.load_state_dict(arrays)
    assert _values(again) == _values(theirs)
    arrays["0.weight"] = np.asfortranarray(arrays["0.weight"].astype(np.float32))
    arrays["0.bias"] = arrays["0.bias"].astype(">f4")
    again.load_state_dict(arrays)
    assert _values(again) == _values(theirs)


def test_half_precision_arrays_into_a_half_precision_module() -> None:
    theirs, ours = _net(torch.nn).to(torch.bfloat16), _net(nn).to(ggml.bfloat16)
    ours.load_state_dict(theirs.state_dict())
    assert ours[0].weight.dtype is ggml.bfloat16
    assert ours[0].weight.float().tolist() == theirs[0].weight.float().tolist()


def test_parameters_share_nothing_with_what_was_loaded() -> None:
    array = np.ones((4, 3), np.float32)
    given = {"0.weight": array, "0.bias": ggml.ones(4) * 2}
    net = _net(nn)
    net.load_state_dict(given, strict=False)
    array[:] = 5
    given["0.bias"].numpy()[:] = 5  # type: ignore[union-attr]
    assert set(net[0].weight.reshape(-1).tolist()) == {1} and set(net[0].bias.tolist()) == {2}


def test_assign_takes_over_memory_and_dtype() -> None:
    array = np.ones((4, 3), np.float16)
    net = _net(nn)
    weight = net[0].weight
    net.load_state_dict({"0.weight": array}, strict=False, assign=True)
    array[:] = 5
    assert net[0].weight is weight and weight.dtype is ggml.float16
    assert set(weight.reshape(-1).tolist()) == {5}
    with pytest.raises(ggml.StateDictError, match="int64"):
        net.load_state_dict({"0.weight": np.ones((4, 3), np.int64)}, strict=False, assign=True)
    assert weight.dtype is ggml.float16


def test_quantised_values() -> None:
    blocks = ggml.from_buffer(bytes(range(34)) * 4, dtype=ggml.q8_0, shape=(4, 32))
    layer = nn.Linear(32, 4, bias=False)
    layer.load_state_dict({"weight": blocks})
    assert layer.weight.dtype is ggml.float32 and layer.weight.tolist() == blocks.float().tolist()
    layer.load_state_dict({"weight": blocks}, assign=True)
    assert layer.weight.dtype is ggml.q8_0 and not layer.weight.requires_grad
    other = nn.Linear(32, 4, bias=False)
    other.load_state_dict(layer.state_dict(), assign=True)
    layer.load_state_dict(other.state_dict())
    assert layer.weight.raw_bytes() == blocks.raw_bytes()
    with pytest.raises(ggml.StateDictError, match="assign=True"):
        layer.load_state_dict({"weight": np.ones((4, 32), np.float32)})
    assert layer.half().weight.dtype is ggml.q8_0


def _outcome(module: Any, state: dict[str, Any], strict: bool) -> tuple[Any, Any]:
    """Keys that were reported, or the error."""
    try:
        found = module.load_state_dict(state, strict=strict)
    except RuntimeError as error:
        return "error", str(error)
    return list(found.missing_keys), list(found.unexpected_keys)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        {}, {"0.weight": None}, {"extra": 1, "0.extra": 1, "1.1.bias": None}, {"0": 1}, {"1.7.weight": 1},
        {"0.weight": np.zeros((3, 4), np.float32)}, {"1.0.num_batches_tracked": np.zeros(1, np.int64)},
        {"1.1.weight.x": 1, "2.weight": 1}, {"1.0.running_mean": np.zeros((), np.float32)},
    ],
    ids=str,
)  # fmt: skip
def test_reports_as_torch_does(change: dict[str, Any], strict: bool) -> None:
    theirs, ours = _net(torch.nn), _net(nn)
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    for name, value in change.items():
        if value is None:
            del state[name]
        else:
            state[name] = np.zeros(3, np.float32) if isinstance(value, int) else value
    before = _values(ours)
    expected = _outcome(theirs, {name: torch.from_numpy(np.asarray(value)) for name, value in state.items()}, strict)
    found = _outcome(ours, state, strict)
    if expected[0] != "error":
        assert found == expected
        return
    assert found[0] == "error" and _values(ours) == before
    for name in change:
        assert name in found[1] and name in expected[1]


def test_a_failing_load_changes_nothing() -> None:
    net = _net(nn)
    before = _values(net)
    state = {name: np.zeros(tuple(value.shape), np.float32) for name, value in net.state_dict().items()}
    bad: list[Any] = [np.zeros(7), "text", [1.0], np.array(["a"]), np.zeros(2, complex), object(), None]
    for value in bad:
        with pytest.raises(ggml.StateDictError) as caught:
            net.load_state_dict({**state, "1.1.bias": value})
        assert caught.value.errors and "1.1.bias" in caught.value.errors[0]
        assert _values(net) == before
    # What only shows when it is computed
    late = ggml.arange(3).index_select(0, ggml.tensor([5, 6]))
    with pytest.raises(ggml.StateDictError):
        net.load_state_dict({**state, "1.1.bias": late})
    assert _values(net) == before
    with pytest.raises(ggml.DTypeError):
        net.load_state_dict({**state, 3: 4})
    with pytest.raises(ggml.TracingError):
        ggml.compile(lambda x: (net.load_state_dict(state), x)[1])(ggml.ones(1))


def test_a_scalar_takes_one_element() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.by = nn.Parameter(ggml.tensor(2.0))

    net = Scale()
    net.load_state_dict({"by": np.array([3.0], np.float32)})
    assert net.by.item() == 3 and net.by.shape == ()


def test_state_beside_tensors() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen = 0

        def get_extra_state(self) -> Any:
            return {"seen": self.seen}

        def set_extra_state(self, state: Any) -> None:
            self.seen = state["seen"]

    net = nn.Sequential(Keeps())
    net[0].seen = 3
    state = net.state_dict()
    assert state == {"0._extra_state": {"seen": 3}}
    other = nn.Sequential(Keeps())
    assert repr(other.load_state_dict(state)) == "<All keys matched successfully>"
    assert other[0].seen == 3
    with pytest.raises(ggml.StateDictError):
        other.load_state_dict({})
    other.append(nn.Linear(1, 1))
    before = _values(other[1])
    with pytest.raises(TypeError):  # from set_extra_state itself
        other.load_state_dict({"1.weight": ggml.zeros(1, 1), "0._extra_state": 3}, strict=False)
    assert _values(other[1]) == before


def test_state_dict_arguments() -> None:
    net = _net(nn)
    assert net.state_dict(keep_vars=True)["0.weight"] is net[0].weight
    assert not isinstance(net.state_dict()["0.weight"], nn.Parameter)
    target: dict[str, Any] = {"x": 1}
    assert net.state_dict(destination=target, prefix="p.") is target
    assert list(target)[:2] == ["x", "p.0.weight"]
    kept = net.state_dict()
    with ggml.no_grad():
        net[0].weight.mul_(0)
    assert any(kept["0.weight"].reshape(-1).tolist())


def test_twins_have_equal_weights() -> None:
    theirs, ours = twins("nn.Linear(3, 2)")
    assert ours.weight.tolist() == theirs.weight.tolist()
