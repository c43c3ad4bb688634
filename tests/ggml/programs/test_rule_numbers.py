"""Each rule in a program of one operation, beside PyTorch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from ggml.export.translating import Translation  # noqa: E402
from ggml.programs.program import Program  # noqa: E402
from ggml.programs.rules import RULES  # noqa: E402
from tests.ggml.programs.rule_samples import LEFT_OPEN, ONLY_IN_GRAPHS, SAMPLES, Sample  # noqa: E402

ATEN = {name for name in RULES if name.startswith("aten.")}
OWN = sorted(name for name in ATEN if RULES[name].__module__.startswith("ggml.programs"))
ROWS = sorted(ATEN - set(OWN))

#: Of these the first result alone means something without gradients.
FIRST_ONLY = ("embedding_bag", "batch_norm")


def operation(name: str) -> Any:
    """PyTorch's operation of that name."""
    _, op, overload = name.split(".")
    return getattr(getattr(torch.ops.aten, op), overload)


class OneOperation(torch.nn.Module):
    """An operation whose tensors are given with the call, and everything else before it."""

    def __init__(self, name: str, sample: Sample) -> None:
        super().__init__()
        self.function = operation(name)
        self.leaves, self.form = torch.utils._pytree.tree_flatten(sample)

    @property
    def tensors(self) -> tuple[Any, ...]:
        return tuple([leaf for leaf in self.leaves if isinstance(leaf, torch.Tensor)])

    def forward(self, *given: Any) -> Any:
        rest = iter(given)
        leaves = [next(rest) if isinstance(leaf, torch.Tensor) else leaf for leaf in self.leaves]
        args, kwargs = torch.utils._pytree.tree_unflatten(leaves, self.form)
        return self.function(*args, **kwargs)


def check(name: str, sample: Sample, left_open: bool = False) -> None:
    """``left_open`` compares the first result alone: the others may differ where elements are equal."""
    model = OneOperation(name, sample)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about torch
        exported = torch.export.export(model, model.tensors)
    # What is not decomposed has the operation itself.
    graph = Translation(exported).graph()
    assert name in {node.op for node in graph.nodes}
    program = Program(graph, {})
    found, wanted = program(*model.tensors), model(*model.tensors)
    if not isinstance(wanted, (tuple, list)):
        found, wanted = [found], [wanted]
    is_first_only = left_open or any(part in name for part in FIRST_ONLY)
    for ours, theirs in list(zip(found, wanted, strict=True))[: 1 if is_first_only else None]:
        compare(ours, theirs)


def compare(ours: Any, theirs: Any) -> None:
    got = torch.from_dlpack(ours)
    assert got.shape == theirs.shape
    tolerance = {torch.bfloat16: 2e-2, torch.float16: 2e-3}.get(theirs.dtype, 2e-5)
    np.testing.assert_allclose(got.double().numpy(), theirs.double().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", OWN)
def test_rule_of_its_own_equals_pytorch(name: str) -> None:
    if name in ONLY_IN_GRAPHS or name in LEFT_OPEN:
        pytest.skip("no sample can be compared")
    for sample in SAMPLES[name]:
        check(name, sample)
