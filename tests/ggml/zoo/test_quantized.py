"""Language models with fewer bits say nearly what they say with all."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'ggml-cluster[zoo]'")

import ggml
from tests.ggml.zoo.quantized import MODELS, PAGE, losses

pytestmark = pytest.mark.slow

#: Mean divergence in nats, several times what docs/ggml/export-bits.md has.
MOST = {ggml.q8_0: 0.01, ggml.q4_k: 0.6}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_with_fewer_bits(name: str) -> None:
    for dtype, loss in losses(name).items():
        assert 0 < loss.divergence < MOST[dtype]
        assert loss.share < 1
        assert f"| {name} | {str(dtype).removeprefix('ggml.')} |" in PAGE.read_text(encoding="utf-8")
