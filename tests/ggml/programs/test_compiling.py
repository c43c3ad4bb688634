"""torch.compile with this backend: equal to eager, whatever torch.compile captures."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from torch import nn  # noqa: E402

import ggml  # noqa: E402
from ggml.export.mixed import partition as parts  # noqa: E402

ROOT = Path(__file__).parents[3]

# What torch says of itself while it compiles.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    torch.manual_seed(0)
    with torch.no_grad():
        yield
    torch._dynamo.reset()


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[parts.Partition]:
    """What became of each graph that torch.compile captured."""
    found: list[parts.Partition] = []
    real = parts.partition

    def noted(*arguments: Any) -> parts.Partition:
        found.append(real(*arguments))
        return found[-1]

    monkeypatch.setattr("ggml.export.compiling.partition", noted)
    return found


def compiled(model: Any, **options: Any) -> Any:
    return torch.compile(model, backend=ggml.export.backend, **options)


def ops_on(captured: list[parts.Partition], where: str) -> set[str]:
    return {row.op for one in captured for row in one.coverage().rows if row.on == where}


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.norm, self.batch_norm = nn.LayerNorm(16), nn.BatchNorm1d(7)
        self.conv = nn.Conv1d(7, 7, 3, padding=1)

    def forward(self, x: Any) -> Any:
        y = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        return {"y": nn.functional.gelu(self.conv(self.batch_norm(y))), "top": y.argmax(-1), "wide": y.double().sum()}


def same(found: Any, wanted: Any) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_equals_eager(captured: list[parts.Partition]) -> None:
    model = Mixer().eval()
    fast = compiled(model)
    for _ in range(2):
        x = torch.randn(2, 7, 16)
        same(fast(x), model(x))
    assert len(captured) == 1
    assert {"aten.scaled_dot_product_attention.default", "aten.linear.default", "aten.layer_norm.default"} <= ops_on(
        captured, "ggml"
    )  # nothing that has a rule was taken apart
    assert not ops_on(captured, "torch")


def test_dynamic_shapes_are_captured_once(captured: list[parts.Partition]) -> None:
    model = Mixer().eval()
    fast = compiled(model, dynamic=True)
    for batch in (2, 3, 5, 2):
        x = torch.randn(batch, 7, 16)
        same(fast(x), model(x))
    assert len(captured) == 1
    assert captured[0].islands[0].program is not None
    assert captured[0].islands[0].program.num_recordings == 3


def test_sizes_that_reach_the_graph_as_numbers() -> None:
    def places(x: Any, count: int) -> Any:
        return torch.arange(count * 2) * 2 + x.shape[0], x.new_full((count,), 3.0) + x[0]

    fast = compiled(places, dynamic=True)
    for rows, count in ((3, 4), (5, 7)):
        x = torch.randn(rows)
        same(fast(x, count), places(x, count))


def test_graph_breaks(captured: list[parts.Partition]) -> None:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            x = self.first(x).relu()
            torch._dynamo.graph_break()
            if x.sum() > 1:
                return self.second(x)
            return x.tanh()

    model = Breaks().eval()
    fast = compiled(model)
    for x in (torch.ones(3, 4) * 5, torch.zeros(3, 4), -torch.ones(3, 4)):
        same(fast(x), model(x))
    assert len(captured) >= 3


def test_parameters_may_change() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    fast, x = compiled(model), torch.randn(3, 4)
    before = fast(x)
    model[0].weight.mul_(-1)
    same(fast(x), model(x))
    model[0].weight.data = torch.randn(4, 4)
    same(fast(x), model(x))
    model.load_state_dict({name: torch.randn_like(value) for name, value in model.state_dict().items()})
    same(fast(x), model(x))
    model[2] = nn.Linear(4, 2)
    same(fast(x), model(x))
    assert not torch.equal(fast(x), before)


def test_parameters_are_read_where_they_lie(captured: list[parts.Partition]) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    fast, x = compiled(model), torch.randn(3, 4)
    fast(x)
    first = captured[0].islands[0].program
    assert first is not None and len(first.weights) == 4
    model[0].weight.add_(1)  # in place: nothing is recorded anew
    same(fast(x), model(x))
    assert captured[0].islands[0].program is first and first.num_recordings == 1
    for _ in range(6):  # elsewhere each time: they are given up as weights
        model[0].weight.data = torch.randn(4, 4)
        same(fast(x), model(x))
    last = captured[0].islands[0].program
    assert last is not None and len(last.weights) == 0
    model[0].weight.data = torch.randn(4, 4)
    same(fast(x), model(x))
    assert captured[0].islands[0].program is last


def test_what_ggml_lacks_stays_torchs(captured: list[parts.Partition]) -> None:
    def odd(x: Any) -> Any:
        return torch.special.airy_ai(x.relu()).abs() + torch.nonzero(x > 9).sum()

    x = torch.randn(5)
    same(compiled(odd)(x), odd(x))
    assert "aten.special_airy_ai.default" in ops_on(captured, "torch")
    assert {"aten.relu.default", "aten.abs.default"} <= ops_on(captured, "ggml")


def test_buffers_and_inputs_that_are_written_to() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)
            self.register_buffer("total", torch.zeros(3))

        def forward(self, x: Any) -> Any:
            self.total.add_(x.sum(0))
            x.mul_(2)
            return self.norm(x) + self.total

    eager, model = Counter().train(), Counter().train()
    fast = compiled(model)
    for _ in range(3):
        x = torch.randn(4, 3)
        y = x.clone()
        same(fast(x), eager(y))
        same(x, y)
    same(model.total, eager.total)
    same(model.norm.running_var, eager.norm.running_var)


def test_results_that_look_at_arguments() -> None:
    def views(x: Any) -> Any:
        return x, x[1:], x.t(), x + 0

    x = torch.randn(3, 3)
    fast = compiled(views)
    for found, wanted in zip(fast(x), views(x), strict=True):
        same(found, wanted)
    fast(x)[1].zero_()
    assert (x[1:] == 0).all()


def test_results_own_their_memory() -> None:
    fast = compiled(lambda x: x * 2)
    first = fast(torch.ones(4))
    kept = first.clone()
    fast(torch.zeros(4))
    same(first, kept)
    first.add_(1)
    same(fast(torch.ones(4)), kept)


def test_gradients_are_refused() -> None:
    fast = compiled(nn.Linear(2, 2))
    with torch.enable_grad(), pytest.raises(Exception, match=r"within torch\.inference_mode\(\) or torch\.no_grad"):
        fast(torch.ones(1, 2))
    with torch.inference_mode():
        fast(torch.ones(1, 2))
    fast(torch.ones(1, 2))


def test_options_and_devices_are_refused() -> None:
    with pytest.raises(Exception, match="it has no options, such as mode"):
        torch.compile(nn.ReLU(), backend=ggml.export.backend, options={"mode": 1})(torch.ones(1))
    with pytest.raises(Exception, match="tensors lie on meta"):
        compiled(nn.ReLU())(torch.ones(1, device="meta"))


def entry_points() -> dict[str, str]:
    """What an installed distribution says."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["torch_dynamo_backends"]
    return dict(found)


def test_the_distribution_names_it() -> None:
    point = importlib.metadata.EntryPoint("ggml", entry_points()["ggml"], "torch_dynamo_backends")
    assert point.load() is ggml.export.backend


@pytest.mark.slow
def test_torch_finds_it_by_name(tmp_path: Path) -> None:
    """In a process that knows nothing of ggml before."""
    (tmp_path / "said.dist-info").mkdir()
    (tmp_path / "said.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: said\nVersion: 1\n")
    lines = ["[torch_dynamo_backends]", *[f"{name} = {place}" for name, place in entry_points().items()]]
    (tmp_path / "said.dist-info" / "entry_points.txt").write_text("\n".join(lines) + "\n")
    code = (
        f"import sys; sys.path.append({str(tmp_path)!r}); import torch; assert 'ggml' not in sys.modules\n"
        "model = torch.nn.Linear(3, 2).eval(); fast = torch.compile(model, backend='ggml'); x = torch.ones(1, 3)\n"
        "with torch.no_grad(): torch.testing.assert_close(fast(x), model(x))\n"
        "print('worker_native' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, cwd=ROOT)
    assert done.stdout.strip() == "True", done.stderr
