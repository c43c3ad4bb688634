"""The loop: act, say how good it was, learn from it a few times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import ggml as torch
from ggml.examples.ppo.advantages import advantages
from ggml.examples.ppo.cart_pole import CartPoles
from ggml.examples.ppo.policy import ActorCritic, clipped_loss

_POLES, _STEPS, _EPOCHS, _BATCH = 16, 64, 6, 256
_DISCOUNT, _SMOOTHING = 0.98, 0.95


def train(updates: int = 40, seed: int = 0, report: Callable[[str], object] = print) -> list[float]:
    """For each update the mean length of the episodes that ended meanwhile (NaN where none did), 500 at most."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    poles, model = CartPoles(_POLES, rng), ActorCritic()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, updates)
    # Both see the weights where they lie: what is learnt is acted upon at once.
    step = torch.compile_step(model, clipped_loss, optimizer, max_norm=0.5)
    act = torch.compile(model)
    curve = []
    for update in range(1, updates + 1):
        batch, lengths = rollout(poles, act, rng)
        for _ in range(_EPOCHS):
            for places in rng.permutation(_POLES * _STEPS).reshape(-1, _BATCH):
                seen, *target = (torch.tensor(part[places]) for part in batch)
                step(seen, tuple(target))
        scheduler.step()
        curve.append(float(np.mean(lengths)) if lengths else float("nan"))
        report(f"update {update}: {len(lengths)} episodes of {curve[-1]:.0f} steps")
    return curve


def rollout(
    poles: CartPoles, act: Callable[..., tuple[torch.Tensor, torch.Tensor]], rng: np.random.Generator
) -> tuple[list[NDArray[np.generic]], list[int]]:
    """What was seen, done, its log probability, its advantage and its return, one after the other; and the lengths
    of the episodes that ended."""
    seen, actions, logs, values, following, ended, lengths = [], [], [], [], [], [], []
    with torch.no_grad():
        for _ in range(_STEPS):
            seen.append(poles.seen())
            logits, value = act(torch.tensor(seen[-1]))
            log_probabilities = logits.log_softmax(-1).numpy()
            done = (rng.random(_POLES) < np.exp(log_probabilities[:, 1])).astype(np.int64)
            fallen, stopped, last, new = poles.step(done)
            actions.append(done)
            logs.append(log_probabilities[np.arange(_POLES), done])
            values.append(value.numpy())
            # One that was only stopped would have gone on to earn what the critic expects.
            following.append(np.where(fallen, 0, act(torch.tensor(last))[1].numpy()).astype(np.float32))
            ended.append(fallen | stopped)
            lengths += new
    value_TN = np.stack(values)
    advantage_TN = advantages(
        np.ones_like(value_TN), value_TN, np.stack(following), np.stack(ended), _DISCOUNT, _SMOOTHING
    )
    parts = [np.stack(seen), np.stack(actions), np.stack(logs), advantage_TN, advantage_TN + value_TN]
    flat = [part.reshape(-1, *part.shape[2:]) for part in parts]
    flat[3] = (flat[3] - flat[3].mean()) / (flat[3].std() + 1e-8)
    return flat, lengths
