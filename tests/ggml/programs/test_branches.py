"""``torch.cond``: both sides run, and the tensor that decides chooses between them."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import ggml  # noqa: E402
from tests.ggml.programs.test_lower import BATCH, close, export  # noqa: E402


class Branching(torch.nn.Module):
    """Two sides with weights of their own; the first one has branches inside."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        def inside(x: Any) -> Any:
            return torch.cond(x.amax() > 2, lambda x: x * 3, lambda x: x - 1, (x,))

        def yes(x: Any) -> Any:
            return self.first(inside(x)).relu(), x + 1

        return torch.cond(x.sum() > 0, yes, lambda x: (self.second(x), x * 2), (x,))


@pytest.mark.parametrize("offset", [-5.0, 0.5, 5.0])
def test_each_side_is_chosen(offset: float) -> None:
    model = Branching()
    program = ggml.export.lower(export(model, torch.ones(2, 3), shapes=({0: BATCH},)), require="ggml")
    x = torch.rand(4, 3) + offset
    for ours, theirs in zip(program(x), model(x), strict=True):
        close(ours, theirs)
