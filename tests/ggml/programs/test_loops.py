"""``map`` and ``scan`` of torch, written out where their length is known."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from torch._higher_order_ops import map as torch_map  # noqa: E402
from torch._higher_order_ops import scan as torch_scan  # noqa: E402
from torch._higher_order_ops import while_loop  # noqa: E402

import ggml  # noqa: E402
from tests.ggml.programs.test_lower import BATCH, close, export  # noqa: E402


class Mapped(torch.nn.Module):
    """A branch in what is mapped, which reads a weight around it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        def row(one: Any, shift: Any) -> Any:
            kept = torch.cond(one.sum() > 0, lambda y: y * 2, lambda y: y - 1, (one,))
            return self.layer(kept) + shift, kept.sum()

        return torch_map(row, x, x.mean(0))


class Scanned(torch.nn.Module):
    """A recurrence over the first axis, and what it is at each place."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        def step(state: Any, one: Any) -> Any:
            new = (self.layer(state) + one).tanh()
            return new, new * 2

        return torch_scan(step, torch.zeros(3), x, dim=0)


@pytest.mark.parametrize("kind", [Mapped, Scanned])
def test_loops_of_a_known_length(kind: Any) -> None:
    torch.manual_seed(0)
    model, x = kind().eval(), torch.randn(4, 3)
    program = ggml.export.lower(export(model, x), require="ggml")
    for ours, theirs in zip(program(x + 0.5), model(x + 0.5), strict=True):
        close(ours, theirs)


def test_loops_of_other_lengths_say_so() -> None:
    class Waiting(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return while_loop(lambda y: y.sum() < 9, lambda y: (y + 1,), (x,))

    for model, shapes in ((Mapped().eval(), ({0: BATCH},)), (Waiting(), None)):
        exported = export(model, torch.randn(4, 3), shapes=shapes)
        with pytest.raises(ggml.UnsupportedOpError, match=r"map_impl|while_loop"):
            ggml.export.lower(exported, require="ggml")


def test_a_program_with_branches_and_loops_as_onnx() -> None:
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ggml-cluster[onnx]'")
    torch.manual_seed(0)
    model, x = Mapped().eval(), torch.randn(4, 3)
    program = ggml.export.lower(export(model, x), require="ggml")
    written = ggml.onnx.export(lambda x: program(x), ggml.from_dlpack(x))
    assert "Where" in {node.op_type for node in written.graph.node}
    for sign in (1, -1):
        found = ggml.onnx.load(written)(ggml.from_dlpack(x * sign))
        for ours, theirs in zip(found, model(x * sign), strict=True):
            close(ours, theirs)
