"""Layers that put the largest elements of windows back."""

from __future__ import annotations

from typing import Any

import pytest

import ggml
from tests.ggml.both import twins
from tests.ggml.compare import assert_same

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")


@pytest.mark.parametrize(
    "text", ["nn.MaxUnpool1d(2)", "nn.MaxUnpool2d(2, 2)", "nn.MaxUnpool3d((2, 1, 2), stride=(2, 1, 2))"]
)
def test_layer_equals_torch(text: str) -> None:
    theirs, ours = twins(text)
    assert repr(ours) == repr(theirs)
    rank = int(text[len("nn.MaxUnpool")])
    x = torch.randn(2, 3, *[6] * rank, generator=torch.Generator().manual_seed(0))
    pool = getattr(torch.nn.functional, f"max_pool{rank}d")
    largest, places = pool(x, theirs.kernel_size, theirs.stride, return_indices=True)
    given = ggml.from_dlpack(largest), ggml.from_dlpack(places)
    expected = theirs(largest, places)
    assert_same(ours(*given), expected)
    assert_same(ggml.compile(ours)(*given), expected)


def test_a_place_outside_of_the_result() -> None:
    with pytest.raises(IndexError):
        ggml.nn.functional.max_unpool1d(ggml.ones(1, 1, 2), ggml.tensor([[[0, 9]]]), 2).tolist()
    with pytest.raises(ggml.ArgumentError, match="output_size"):
        ggml.nn.functional.max_unpool1d(ggml.ones(1, 1, 2), ggml.tensor([[[0, 3]]]), 2, output_size=(9,))
