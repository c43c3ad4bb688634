"""Networks for graphs: nodes send messages along edges."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.ggml.zoo.models import Arguments, Entry


class Messages(nn.Module):
    """Each edge sends what its two ends say to its target, where the mean of what arrives is taken."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.message, self.own = nn.Linear(2 * inside, out), nn.Linear(inside, out)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        source, target = edges
        sent = F.relu(self.message(torch.cat([x[source], x[target]], -1)))
        arrived = torch.zeros(x.shape[0], sent.shape[1]).index_add(0, target, sent)
        count = torch.zeros(x.shape[0]).scatter_add(0, target, torch.ones(target.shape[0]))
        return self.own(x) + arrived / count.clamp(min=1).unsqueeze(-1)


class Attending(nn.Module):
    """Edges weigh what they send by a softmax over the edges of the same target."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.value, self.score = nn.Linear(inside, out), nn.Linear(2 * inside, 1)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        source, target = edges
        score = F.leaky_relu(self.score(torch.cat([x[source], x[target]], -1)).squeeze(-1), 0.2)
        highest = torch.full((x.shape[0],), -1e9).scatter_reduce(0, target, score, "amax")
        weight = (score - highest[target]).exp()
        total = torch.zeros(x.shape[0]).index_add(0, target, weight)
        sent = self.value(x)[source] * (weight / total[target]).unsqueeze(-1)
        return torch.zeros(x.shape[0], sent.shape[1]).index_add(0, target, sent)


class GraphNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = Messages(6, 16), Attending(16, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        x = F.relu(self.first(x, edges))
        x = F.elu(self.second(x, edges))
        return self.head(torch.cat([x, x.mean(0, keepdim=True).expand_as(x)], -1)[:, :16])


def _arguments(batch: int) -> Arguments:
    nodes, edges = 4 + 3 * batch, 20 + batch
    return torch.randn(nodes, 6), torch.randint(0, nodes, (2, edges))


ENTRIES = [Entry("graph network", GraphNetwork, _arguments, ({0: "nodes"}, {1: "edges"}))]
