"""fully_shard beside DistributedDataParallel, over processes."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from tests.unit.train.ranks import Ranks

STEPS = 20
WIDTH = 23  # no world size divides it


def _layers() -> Any:
    from ggml import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(WIDTH, WIDTH)
            self.norm = nn.LayerNorm(WIDTH)

        def forward(self, x: Any) -> Any:
            return x + self.norm(self.inner(x)).tanh()

    return nn.Sequential(nn.Linear(6, WIDTH), Block(), Block(), nn.Linear(WIDTH, 3))


def _model(shards: bool) -> Any:
    import ggml
    from cluster import train

    ggml.manual_seed(3 if train.get_rank() == 0 else 50)  # only the values of rank 0 count
    model = _layers()
    if not shards:
        return train.DistributedDataParallel(model)
    for layer in (model[1], model[2]):
        train.fully_shard(layer)
    return train.fully_shard(model)


def _trained(shards: bool, steps: int) -> tuple[Any, Any]:
    """With gradients of two backwards for each step, and clipping."""
    import ggml
    from cluster import train
    from ggml import nn, optim

    model = _model(shards)
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    rank, world_size = train.get_rank(), train.get_world_size()
    ggml.manual_seed(1)
    inputs, targets = ggml.randn(24, 6), ggml.randint(0, 3, (24,))
    for _ in range(steps):
        for half in (slice(0, 12), slice(12, 24)):
            loss = nn.functional.cross_entropy(model(inputs[half][rank::world_size]), targets[half][rank::world_size])
            if half.start == 0:
                optimizer.zero_grad()  # between forward and backward, as many loops have it
            loss.backward()
        train.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    return model, optimizer


def compared(steps: int) -> dict[str, Any]:
    import ggml
    from cluster import train

    plain, _ = _trained(False, steps)
    model, optimizer = _trained(True, steps)
    wanted = plain.module.state_dict()
    found = train.get_model_state_dict(model)
    assert list(found) == list(wanted)
    furthest = max(np.abs(found[name].numpy() - wanted[name].numpy()).max() for name in wanted)
    with ggml.no_grad():
        x = ggml.ones(2, 6)
        np.testing.assert_allclose(model(x).numpy(), plain(x).numpy(), atol=1e-5)
    train.set_model_state_dict(model, {name: one * 0 + 1 for name, one in wanted.items()})
    assert all((one.numpy() == 1).all() for one in train.get_model_state_dict(model).values())
    return {
        "furthest": furthest,
        "whole": sum(one.numel() for one in plain.parameters()),
        "parameters": sum(one.numel() for one in model.parameters()),
        "gradients": sum(one.grad.numel() for one in model.parameters()),
        "state": sum(v.numel() for kept in optimizer.state.values() for v in kept.values() if hasattr(v, "numel")),
    }


@pytest.mark.native
@pytest.mark.parametrize("world_size", [2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_steps_are_those_of_whole_copies_with_a_share_of_the_memory(ranks: Ranks, world_size: int) -> None:
    for found in ranks.run(world_size, compared, 6 if world_size == 3 else STEPS):
        assert found["furthest"] <= 1e-6
        share = found["whole"] / world_size + 10  # at most one element of padding for each parameter
        assert found["parameters"] <= share
        assert found["gradients"] <= share
        assert found["state"] <= 2 * share


def lives() -> list[int]:
    """How many elements of whole weights are held after a forward with gradients, and after backward."""
    from cluster import train
    from cluster.train import sharded_parameter

    made: list[Any] = []
    unit = train.fully_shard.__globals__
    plain = unit["gathered"]

    def counting(group: Any, parameters: Any) -> Any:
        found = plain(group, parameters)
        made.extend((weak(one._node), one.numel()) for one in found)
        return found

    def held() -> int:
        gc.collect()
        return sum(num for node, num in made if node() is not None)

    from weakref import ref as weak

    assert unit["gathered"] is sharded_parameter.gathered
    unit["gathered"] = counting
    try:
        model = _model(True)
        import ggml

        output = model(ggml.ones(2, 6))
        after_forward = held()
        output.sum().backward()
        del output
        return [after_forward, held(), sum(num for _, num in made)]
    finally:
        unit["gathered"] = plain


@pytest.mark.native
def test_whole_weights_of_inner_units_are_let_go_of_after_forward_and_all_after_backward(ranks: Ranks) -> None:
    root = 6 * WIDTH + WIDTH + 3 * WIDTH + 3
    block = WIDTH * WIDTH + 3 * WIDTH
    for after_forward, after_backward, all_gathered in ranks.run(2, lives):
        assert after_forward == root
        assert after_backward == 0
        assert all_gathered == root + 2 * 2 * block  # those of blocks twice


def refusals() -> list[str]:
    import ggml
    from cluster import train
    from ggml import nn

    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    train.fully_shard(first)
    said = []
    second.weight = first.weight
    for work in (
        lambda: train.fully_shard(second),
        lambda: train.fully_shard(first),
        lambda: train.set_model_state_dict(first, {"weight": ggml.ones(3, 2), "bias": ggml.ones(2)}),
        lambda: ggml.compile(first)(ggml.ones(1, 2)),
        lambda: train.clip_grad_norm_(first.parameters(), 1.0, norm_type=1.0),
    ):
        try:
            work()
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    return said


@pytest.mark.native
def test_what_cannot_be_is_said(ranks: Ranks) -> None:
    for said in ranks.run(2, refusals):
        assert len(said) == 5, said
        assert "weight belongs to another unit, too" in said[0]
        assert "Linear is sharded already" in said[1]
        assert "weight: (3, 2) in the state dict, (2, 2) in the module" in said[2]
        assert "cannot gather" in said[3]
        assert "norm_type 1.0" in said[4]
