"""DistributedDataParallel beside one process, in the plain loop and in compiled steps, over processes."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from tests.unit.train.ranks import Ranks

WIDTH, ROWS = 12, 36


def _model(seed: int = 3) -> Any:
    import ggml
    from ggml import nn

    ggml.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 3))


def _rows(rank: int, world_size: int) -> Any:
    import ggml

    ggml.manual_seed(1)
    inputs, targets = ggml.randn(ROWS, 6), ggml.randint(0, 3, (ROWS,))
    return inputs[rank::world_size], targets[rank::world_size]


def _train(model: Any, kind: str, settings: dict[str, Any], rows: Any, steps: int, max_norm: Any = None) -> list[Any]:
    """Losses and weights; `kind`: "loop" or "compiled"."""
    import ggml
    from ggml import nn, optim

    optimizer = getattr(optim, settings.get("optimizer", "AdamW"))(model.parameters(), lr=0.02)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    step = ggml.compile_step(model, nn.functional.cross_entropy, optimizer, max_norm=max_norm)
    found = []
    for _ in range(steps):
        if kind == "compiled":
            loss = step(*rows)
        else:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(rows[0]), rows[1])
            loss.backward()
            if max_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), max_norm)
            optimizer.step()
        found.append(loss.item())
        scheduler.step()
    return [found, *[one.numpy().copy() for one in model.parameters()]]


def _buckets(are_small: bool) -> None:
    """So that this small model has several, or one."""
    from cluster.train import gradient_bucket

    gradient_bucket.FIRST_BYTES, gradient_bucket.BUCKET_BYTES = (200, 500) if are_small else (1 << 20, 25 << 20)


def trained(kind: str, settings: dict[str, Any], steps: int, max_norm: Any) -> Any:
    from cluster import train

    rank, world_size = train.get_rank(), train.get_world_size()
    _buckets(settings.get("small", False))
    _apart(settings.get("apart", False))
    model = train.DistributedDataParallel(_model(3 if rank == 0 else 9))
    assert len(model._buckets) == (3 if settings.get("small") else 1)
    return _train(model, kind, settings, _rows(rank, world_size), steps, max_norm)


def alone(settings: dict[str, Any], steps: int, max_norm: Any) -> Any:
    return _train(_model(), "loop", settings, _rows(0, 1), steps, max_norm)


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize(
    ("settings", "max_norm"),
    [({}, None), ({"small": True, "apart": True}, None), ({"small": True, "optimizer": "SGD"}, 0.05)],
)
def test_ranks_take_the_steps_of_one_process(
    ranks: Ranks, world_size: int, settings: dict[str, Any], max_norm: float | None
) -> None:
    steps = 50
    wanted = alone(settings, steps, max_norm)
    loops = ranks.run(world_size, trained, "loop", settings, steps, max_norm)
    compiled = ranks.run(world_size, trained, "compiled", settings, steps, max_norm)
    for loop, step in zip(loops, compiled, strict=True):
        assert step[0] == loop[0]  # losses
        for one, other, first, whole in zip(step[1:], loop[1:], loops[0][1:], wanted[1:], strict=True):
            np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(other, first)
            np.testing.assert_allclose(other, whole, rtol=0, atol=1e-6)


def _apart(are_apart: bool) -> None:
    """As between machines: in memory that ranks share gradients would not travel early."""
    from cluster.train.averaging import Averaging

    Averaging.is_early = property(lambda self: are_apart)  # type: ignore[misc, assignment]


def early(kind: str) -> list[str]:
    """Who averages what, while the first layer's gradient is held up until the last one's has come back."""
    import ggml
    from cluster import train
    from cluster.train.averaging import Averaging
    from cluster.train.gradient_bucket import GradientBucket
    from ggml import nn, optim

    _buckets(True)
    _apart(True)
    model = train.DistributedDataParallel(_model())
    first = next(model.parameters())
    done, seen = threading.Event(), []
    put, average = Averaging.put, GradientBucket.average

    def slow(self: Any, parameter: Any, raw: Any) -> None:
        if parameter is first:
            seen.append(f"waited {done.wait(20)}")
        put(self, parameter, raw)

    def noted(self: Any, group: Any) -> None:
        average(self, group)
        seen.append(threading.current_thread().name)
        done.set()

    optimizer = optim.SGD(model.parameters(), lr=0.1)
    step = ggml.compile_step(model, nn.functional.cross_entropy, optimizer)
    rows = _rows(train.get_rank(), train.get_world_size())
    Averaging.put, GradientBucket.average = slow, noted
    try:
        if kind == "compiled":
            step(*rows)
        else:
            nn.functional.cross_entropy(model(rows[0]), rows[1]).backward()
    finally:
        Averaging.put, GradientBucket.average = put, average
    return seen


@pytest.mark.parametrize("kind", ["loop", "compiled"])
def test_gradients_travel_while_others_are_computed(ranks: Ranks, kind: str) -> None:
    for seen in ranks.run(2, early, kind):
        assert "waited True" in seen
        assert sorted(seen, key=len)[:3] == ["averaging"] * 3
        assert seen.index("averaging") < seen.index("waited True")


def hooked() -> Any:
    """Gradients that others hold, that hooks change, that are lacking, and a backward that fails."""
    import ggml
    from cluster import train

    _apart(True)
    rank = train.get_rank()
    inner = _model()
    unused = ggml.nn.Parameter(ggml.ones(2))
    inner.register_parameter("unused", unused)
    model = train.DistributedDataParallel(inner)
    inputs, _ = _rows(rank, 2)
    weight = inner[0].weight
    model(inputs).sum().backward()
    assert unused.grad is None
    kept, before = weight.grad, weight.grad.numpy().copy()
    model.zero_grad()
    model(inputs * 3).sum().backward()
    np.testing.assert_array_equal(kept.numpy(), before)  # memory of gradients that are held is not used again
    assert np.abs(weight.grad.numpy() - before).max() > 1e-3
    model.zero_grad()
    if rank == 0:  # one rank uses it
        (model(inputs).sum() + unused.sum()).backward()
    else:
        model(inputs).sum().backward()
    np.testing.assert_array_equal(unused.grad.numpy(), [0.5, 0.5])
    np.testing.assert_array_equal(weight.grad.numpy(), before)
    model.zero_grad()

    def doubled(parameter: Any) -> None:
        parameter.grad = parameter.grad * 2

    handle = weight.register_post_accumulate_grad_hook(doubled)
    model(inputs).sum().backward()
    np.testing.assert_allclose(weight.grad.numpy(), 2 * before, rtol=1e-6)
    handle.remove()
    model.zero_grad()

    def fails(gradient: Any) -> None:
        raise KeyError("a hook")

    handle = inner[0].bias.register_hook(fails)
    with pytest.raises(KeyError):
        model(inputs).sum().backward()
    handle.remove()
    model.zero_grad()
    with model.no_sync():
        model(inputs).sum().backward()
    model(inputs).sum().backward()
    np.testing.assert_allclose(weight.grad.numpy(), 2 * before, rtol=1e-6)
    model.zero_grad()
    with ggml.profiler.profile(with_nodes=True):  # something else watches the graph
        model(inputs).sum().backward()
    np.testing.assert_array_equal(weight.grad.numpy(), before)
    return before


def test_gradients_that_others_hold_change_or_lack(ranks: Ranks) -> None:
    first, second = ranks.run(2, hooked)
    np.testing.assert_array_equal(first, second)


def recomputed_and_halved() -> Any:
    """Layers that are computed again on the way back, and parameters in 16 bits."""
    import ggml
    from cluster import train
    from ggml import nn
    from ggml.utils.checkpoint import checkpoint

    _apart(True)
    rank = train.get_rank()

    class Recomputing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = _model()

        def forward(self, x: Any) -> Any:
            return self.inner[2:](checkpoint(self.inner[:2], x))

    inputs, _ = _rows(rank, 2)
    found = []
    for layers in (_model(), Recomputing()):
        model = train.DistributedDataParallel(layers)
        model(inputs).square().sum().backward()
        found.append([one.grad.numpy() for one in layers.parameters()])
    half = train.DistributedDataParallel(_model().to(ggml.bfloat16))
    half(inputs.to(ggml.bfloat16)).sum().backward()
    assert all(one.grad.dtype is ggml.bfloat16 for one in half.parameters())
    return found


def test_what_is_computed_again_is_averaged_too(ranks: Ranks) -> None:
    for plain, again in ranks.run(2, recomputed_and_halved):
        for one, other in zip(plain, again, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def normalised() -> list[float]:
    """The running mean behind forwards in four states, of a layer that leaves it as it is."""
    import ggml
    from cluster import train
    from ggml import nn, optim

    rank = train.get_rank()
    model = train.DistributedDataParallel(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, momentum=0.0)))
    own = train.DistributedDataParallel(
        nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, momentum=0.0)), broadcast_buffers=False
    )
    x = ggml.randn(8, 6)
    found = []

    def after(whole: Any) -> None:
        whole.module[1].running_mean.fill_(rank + 1.0)
        whole(x)
        found.append(whole.module[1].running_mean.mean().item())

    after(model)
    after(own)
    with model.no_sync():
        after(model)
    model.eval()
    after(model)
    model.train()
    step = ggml.compile_step(
        model, lambda output, target: (output - target).square().sum(), optim.SGD(model.parameters())
    )
    step(x, ggml.zeros(8, 4))
    with model.no_sync(), pytest.raises(ValueError, match="no_sync"):
        step(x, ggml.zeros(8, 4))
    return found


def test_buffers_are_those_of_the_first_rank(ranks: Ranks) -> None:
    assert ranks.run(2, normalised) == [[1, 1, 1, 1], [1, 2, 2, 2]]
