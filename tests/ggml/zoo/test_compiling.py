"""The models of the zoo that need no other library through torch.compile: equal to eager at two batches."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import ggml  # noqa: E402
from tests.ggml.zoo.models import Entry  # noqa: E402
from tests.ggml.zoo.models.every import ENTRIES  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


@pytest.mark.parametrize("entry", [one for one in ENTRIES if not one.library], ids=lambda entry: entry.name)
def test_model_equals_eager(entry: Entry) -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = entry.make().eval()
    fast = torch.compile(model, backend=ggml.export.backend)
    with torch.no_grad():
        for batch in (2, 3):
            arguments = entry.arguments(batch)
            torch.testing.assert_close(fast(*arguments), model(*arguments), rtol=1e-4, atol=1e-4)
