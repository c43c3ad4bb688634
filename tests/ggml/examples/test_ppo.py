"""The example of poles: it learns to balance them, by the advantages and the loss of the papers."""

from __future__ import annotations

import numpy as np
import pytest

import ggml
from ggml.examples.ppo.advantages import advantages
from ggml.examples.ppo.cart_pole import CartPoles
from ggml.examples.ppo.policy import clipped_loss
from ggml.examples.ppo.training import train
from tests.ggml.both import torch


def test_episodes_become_longer() -> None:
    curve = train(18, 0, lambda line: None)
    assert curve[0] < 35
    assert np.nanmean(curve[-5:]) > 100


def test_a_pole_falls_when_it_is_always_pushed_to_one_side() -> None:
    poles = CartPoles(4, np.random.default_rng(0))
    ended: list[int] = []
    for _ in range(12):
        ended += poles.step(np.ones(4, np.int64))[3]
    assert len(ended) == 4
    assert all(7 <= length <= 12 for length in ended)
    assert sorted(12 - poles.lengths) == sorted(ended), "they begin anew"
    assert (np.abs(poles.states[:, 2]) < 0.21).all()


def test_what_was_only_stopped_has_not_fallen() -> None:
    poles = CartPoles(3, np.random.default_rng(0), max_steps=2)
    for _ in range(2):
        fallen, stopped, last, lengths = poles.step(np.array([0, 1, 0]))
    assert (fallen.any(), stopped.all(), last.shape, lengths) == (False, True, (3, 4), [2, 2, 2])


def test_advantages_are_sums_of_errors() -> None:
    rewards, values = np.ones((3, 1), np.float32), np.array([[0.5], [1.0], [2.0]], np.float32)
    following, ended = np.array([[1.0], [0.0], [3.0]], np.float32), np.array([[False], [True], [False]])
    found = advantages(rewards, values, following, ended, 0.9, 0.5)
    second, third = 1 - 1.0, 1 + 0.9 * 3 - 2
    np.testing.assert_allclose(found[:, 0], [1 + 0.9 - 0.5 + 0.45 * second, second, third], rtol=1e-6)


def test_the_clipped_loss_and_its_gradients_are_torchs() -> None:
    rng = np.random.default_rng(0)
    logits, values, before, gain, returns = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((16, 2), 16, 16, 16, 16)
    )
    actions = rng.integers(0, 2, 16)
    mine, critic = ggml.tensor(logits, requires_grad=True), ggml.tensor(values, requires_grad=True)
    loss = clipped_loss((mine, critic), tuple(map(ggml.tensor, (actions, before, gain, returns))))
    loss.backward()
    theirs, other = torch.tensor(logits, requires_grad=True), torch.tensor(values, requires_grad=True)
    drawn = torch.distributions.Categorical(logits=theirs)
    ratio = (drawn.log_prob(torch.tensor(actions)) - torch.tensor(before)).exp()
    advantage = torch.tensor(gain)
    wanted = (
        0.5 * (other - torch.tensor(returns)).square().mean()
        - torch.min(ratio * advantage, ratio.clip(0.8, 1.2) * advantage).mean()
        - 0.01 * drawn.entropy().mean()
    )
    wanted.backward()
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-6)
    assert mine.grad is not None and critic.grad is not None
    np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), atol=1e-6)
    np.testing.assert_allclose(critic.grad.numpy(), other.grad.numpy(), atol=1e-6)
