"""A net with two heads, and the loss of PPO."""

from __future__ import annotations

from typing import Any

import ggml as torch
from ggml import nn


class ActorCritic(nn.Module):
    """What is seen [N, 4] to the logits of two actions [N, 2], and to what is expected of it [N]."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 2))
        self.critic = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 1))
        # All actions are as likely at first.
        nn.init.orthogonal_(self.actor[2].weight, 0.01)

    def forward(self, x: torch.Tensor) -> Any:
        return self.actor(x), self.critic(x).squeeze(-1)


def clipped_loss(
    outputs: tuple[torch.Tensor, torch.Tensor], target: tuple[torch.Tensor, ...], clip: float = 0.2
) -> torch.Tensor:
    """Schulman et al., https://arxiv.org/abs/1707.06347, equation 9, as a loss.

    ``target`` are actions, int64 [N], their log probabilities when they were drawn [N], advantages [N] and returns [N].
    """
    (logits, values), (actions, before, advantages, returns) = outputs, target
    log_probabilities = logits.log_softmax(-1)
    ratio = (log_probabilities.gather(1, actions.unsqueeze(1)).squeeze(1) - before).exp()
    gain = torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()
    entropy = -(log_probabilities.exp() * log_probabilities).sum(-1).mean()
    return 0.5 * nn.functional.mse_loss(values, returns) - gain - 0.01 * entropy
