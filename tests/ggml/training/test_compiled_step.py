"""A compiled step does what the loop does: bit by bit beside ggml's own loop, and closely beside PyTorch's."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import numpy as np
import pytest

import ggml
from ggml import nn
from tests.ggml.both import torch
from tests.ggml.training.loops import assert_same, loop, losses, values
from tests.ggml.training.nets import NETS, conv_net, images, mlp, tokens, transformer, vectors

F = nn.functional

OPTIMIZERS = [
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("Adam", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01}),
]


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS, ids=[name for name, _ in OPTIMIZERS])
def test_losses_and_weights_are_those_of_the_loop(net: str, name: str, settings: dict[str, Any]) -> None:
    make, batch = NETS[net]
    plain = make(ggml)
    model, theirs = copy.deepcopy(plain), make(torch)
    theirs.load_state_dict({key: torch.tensor(value) for key, value in values(plain).items()})
    step = ggml.compile_step(model, F.cross_entropy, getattr(ggml.optim, name)(model.parameters(), **settings))
    ours = losses(ggml, step, batch, 8)
    assert ours == losses(ggml, loop(ggml, plain, getattr(ggml.optim, name)(plain.parameters(), **settings)), batch, 8)
    assert_same(model, plain)
    other = loop(torch, theirs, getattr(torch.optim, name)(theirs.parameters(), **settings))
    assert ours == pytest.approx(losses(torch, other, batch, 8), rel=2e-3)
    assert step.num_recordings == 1
    assert all(param.grad is None for param in model.parameters())


def test_rates_of_schedules_and_clipping_need_no_new_recording() -> None:
    found = []
    for is_compiled in (False, True):
        ggml.manual_seed(0)
        model = mlp(ggml)
        optimizer = ggml.optim.AdamW([{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.02}])
        schedule = ggml.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6)
        step = loop(ggml, model, optimizer, 0.5)
        if is_compiled:
            step = compiled = ggml.compile_step(model, F.cross_entropy, optimizer, max_norm=0.5)

        def scheduled(x: Any, y: Any, step: Any = step, schedule: Any = schedule) -> Any:
            loss = step(x, y)
            schedule.step()
            return loss

        found.append((losses(ggml, scheduled, vectors, 10), model))
    assert found[0][0] == found[1][0]
    assert_same(found[0][1], found[1][1])
    assert compiled.num_recordings == 1


def test_radam_changes_its_form_on_the_way() -> None:
    found = []
    for is_compiled in (False, True):
        ggml.manual_seed(0)
        model = mlp(ggml)
        optimizer = ggml.optim.RAdam(model.parameters(), lr=0.01)
        step = ggml.compile_step(model, F.cross_entropy, optimizer) if is_compiled else loop(ggml, model, optimizer)
        found.append((losses(ggml, step, vectors, 9), optimizer.state[model[0].weight]["step"]))
    assert found[0] == found[1]


def test_dropout_draws_anew_in_the_order_of_the_loop() -> None:
    found = []
    for is_compiled in (False, True):
        ggml.manual_seed(3)
        model = transformer(ggml, dropout=0.3)
        optimizer = ggml.optim.SGD(model.parameters(), lr=0.0)
        step = ggml.compile_step(model, F.cross_entropy, optimizer) if is_compiled else loop(ggml, model, optimizer)
        batch = tokens(np.random.default_rng(0))
        found.append(losses(ggml, step, lambda _, batch=batch: batch, 4))
        found[-1].append(ggml.rand(1).item())  # the generator stands where it would
    assert found[0] == found[1]
    assert len(set(found[0][:4])) == 4


def test_noise_of_the_model_differs_from_call_to_call() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(ggml.ones(3))

        def forward(self, x: Any) -> Any:
            return (x + ggml.randn_like(x)) * self.weight * (ggml.rand(3) < 0.9).float()

    found = []
    for is_compiled in (False, True):
        ggml.manual_seed(1)
        model = Noisy()
        optimizer = ggml.optim.SGD(model.parameters(), lr=0.1)
        seen = []
        step = ggml.compile_step(model, F.mse_loss, optimizer)
        for _ in range(3):
            if is_compiled:
                seen.append(step(ggml.zeros(3), ggml.zeros(3)).item())
            else:
                optimizer.zero_grad()
                loss = F.mse_loss(model(ggml.zeros(3)), ggml.zeros(3))
                loss.backward()
                optimizer.step()
                seen.append(loss.item())
        found.append(seen)
    assert found[0] == found[1]
    assert len(set(found[0])) == 3


def test_running_statistics_move_in_training_and_stay_in_evaluation() -> None:
    plain = conv_net(ggml)
    model = copy.deepcopy(plain)
    step = ggml.compile_step(model, F.cross_entropy, ggml.optim.SGD(model.parameters(), lr=0.1))
    other = loop(ggml, plain, ggml.optim.SGD(plain.parameters(), lr=0.1))
    for is_training in (True, False, True):
        model.train(is_training)
        plain.train(is_training)
        before = model[1].running_mean.numpy().copy()
        assert losses(ggml, step, images, 2) == losses(ggml, other, images, 2)
        assert (model[1].running_mean.numpy() != before).any() == is_training
    assert_same(model, plain)
    assert model[1].num_batches_tracked.item() == 4
    assert step.num_recordings == 2


def test_a_loss_may_be_a_module_with_weights_and_statistics() -> None:
    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(ggml.ones(5))
            self.register_buffer("mean", ggml.zeros(5))

        def forward(self, out: Any, y: Any) -> Any:
            self.mean.mul_(0.5).add_(out.detach().mean(0))
            return F.cross_entropy(out * self.scale - self.mean, y)

    found = []
    for is_compiled in (False, True):
        ggml.manual_seed(0)
        model, loss_fn = mlp(ggml), Loss()
        optimizer = ggml.optim.Adam([*model.parameters(), *loss_fn.parameters()], lr=0.01)
        step = ggml.compile_step(model, loss_fn, optimizer)
        rng, seen = np.random.default_rng(0), []
        for _ in range(4):
            x, y = (ggml.tensor(one) for one in vectors(rng))
            if is_compiled:
                loss = step(x, y)
            else:
                optimizer.zero_grad()
                loss = loss_fn(model(x), y)
                loss.backward()
                optimizer.step()
            seen.append(loss.item())
        found.append((seen, loss_fn.scale.tolist(), loss_fn.mean.tolist()))
    assert found[0] == found[1]
    assert any(found[0][2])


def test_each_signature_is_recorded_once() -> None:
    model = mlp(ggml)
    seen = []
    model.register_forward_hook(lambda *_: seen.append(1))
    step = ggml.compile_step(model, F.cross_entropy, ggml.optim.SGD(model.parameters(), lr=0.1))
    for count in (16, 3, 16, 3, 16):
        x, y = vectors(np.random.default_rng(0))
        step(ggml.tensor(x[:count]), ggml.tensor(y[:count]))
    assert (len(seen), step.num_recordings) == (2, 2)
    model[0].requires_grad_(False)
    kept = model[0].weight.detach().numpy().copy()
    step(ggml.tensor(x), ggml.tensor(y))
    assert step.num_recordings == 3
    np.testing.assert_array_equal(model[0].weight.detach().numpy(), kept)


def test_checkpoints_and_the_plain_loop_in_between() -> None:
    found = []
    for is_compiled in (False, True):
        ggml.manual_seed(0)
        model = mlp(ggml)
        optimizer = ggml.optim.AdamW(model.parameters(), lr=0.01)
        other = loop(ggml, model, optimizer)
        step = ggml.compile_step(model, F.cross_entropy, optimizer) if is_compiled else other
        curve = losses(ggml, step, vectors, 3)
        weights, kept = values(model), optimizer.state_dict()
        curve += losses(ggml, step, vectors, 3, 1)
        curve += losses(ggml, other, vectors, 2, 2)  # the same tensors, by hand
        curve += losses(ggml, step, vectors, 2, 3)
        model.load_state_dict({name: ggml.tensor(value) for name, value in weights.items()})
        optimizer.load_state_dict(kept)
        assert losses(ggml, step, vectors, 3, 1) == curve[3:6]
        found.append(curve)
    assert found[0] == found[1]


def test_gradients_do_not_accumulate_and_compiled_functions_see_new_weights() -> None:
    model = mlp(ggml)
    forward = ggml.compile(model)
    x, y = (ggml.tensor(one) for one in vectors(np.random.default_rng(0)))
    model(x).sum().backward()
    twin = copy.deepcopy(model)
    step = ggml.compile_step(model, F.cross_entropy, ggml.optim.SGD(model.parameters(), lr=0.1))
    other = loop(ggml, twin, ggml.optim.SGD(twin.parameters(), lr=0.1))
    for _ in range(3):
        assert step(x, y).item() == other(x, y).item()
        np.testing.assert_allclose(forward(x).numpy(), twin(x).detach().numpy(), rtol=1e-6, atol=1e-6)
    assert model[0].weight.grad is None
    assert step.num_recordings == 1


def test_memory_is_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    # Then results belong to the arena of the caller, which counts those that are alive.
    monkeypatch.setattr("ggml.training.step.outside", contextlib.nullcontext)
    model = nn.Sequential(nn.Linear(12, 16), nn.Dropout(0.1), nn.ReLU(), nn.Linear(16, 5))
    optimizer = ggml.optim.AdamW(model.parameters())
    step = ggml.compile_step(model, F.cross_entropy, optimizer, max_norm=1.0)
    x, y = (ggml.tensor(one) for one in vectors(np.random.default_rng(0)))
    num_weights = sum(param.numel() for param in model.parameters())
    with ggml.arena() as arena:
        seen = set()
        for count in range(300):
            loss = step(x, y)
            if count >= 5:
                seen.add(arena.num_bytes)
        for param in model.parameters():
            arena.keep(param)
        assert loss.item() > 0
    assert len(seen) == 1
    assert min(seen) >= 3 * 4 * num_weights + 4
    assert step.num_recordings == 1


def test_mixed_precision_has_a_recording_of_its_own() -> None:
    """Which the loop in that precision equals."""
    made = []
    for compiled in (False, True):
        ggml.manual_seed(0)
        model = mlp(ggml)
        optimizer = ggml.optim.SGD(model.parameters(), lr=0.05)
        step = (
            ggml.compile_step(model, nn.functional.cross_entropy, optimizer)
            if compiled
            else loop(ggml, model, optimizer)
        )
        rng = np.random.default_rng(0)
        found = []
        for dtype in (None, ggml.bfloat16, None, ggml.bfloat16):
            x, y = (ggml.tensor(each) for each in vectors(rng))
            with contextlib.nullcontext() if dtype is None else ggml.autocast("cpu", dtype=dtype):
                found.append(step(x, y).item())
        made.append(found)
        if compiled:
            assert step.num_recordings == 2
    assert made[0] == made[1]
