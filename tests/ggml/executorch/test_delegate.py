"""Programs of ExecuTorch whose parts ggml runs equal the models, in ExecuTorch's own runtime."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")
pytest.importorskip("executorch", reason="not installed: pip install 'ggml-cluster[executorch]'")

import torch

import ggml
from ggml.executorch import library
from ggml.programs.recordings.encoding import encode
from protos import program_pb2 as pb
from tests.ggml.executorch.running import Loaded, error, file_of, left, lowered, parts
from tests.ggml.zoo.models import Entry
from tests.ggml.zoo.models.every import ENTRIES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.native,
    pytest.mark.usefixtures("delegate"),
    pytest.mark.filterwarnings("ignore"),  # of torch and ExecuTorch, about themselves
]

# Their families differ; the whole zoo takes an hour of torch's own passes.
NAMES = (
    "MLP", "ResNet-18", "VGG", "DenseNet", "MobileNetV3", "U-Net", "ConvNeXt", "ViT", "Swin", "BERT", "GPT-2", "Llama",
    "Mamba", "LSTM language model", "GRU language model",
)  # fmt: skip
CHOSEN = [entry for entry in ENTRIES if entry.name in NAMES]


def small() -> tuple[Any, Any]:
    torch.manual_seed(0)
    layers = torch.nn.Linear(6, 8), torch.nn.GELU(), torch.nn.LayerNorm(8), torch.nn.Linear(8, 3)
    return torch.nn.Sequential(*layers).eval(), torch.randn(2, 6)


def test_enough_models_are_chosen() -> None:
    assert len(CHOSEN) >= 10


@pytest.mark.parametrize("entry", CHOSEN, ids=lambda entry: entry.name)
def test_model_equals_pytorch(entry: Entry) -> None:
    torch.manual_seed(0)
    model, arguments = entry.make().eval(), entry.arguments(2)
    edge = lowered(torch.export.export(model, arguments))
    assert parts(edge), left(edge)
    assert error(Loaded(file_of(edge)), model, arguments) <= 1e-4


def test_linear_layers_and_norms_stay_whole() -> None:
    model, x = small()
    edge = lowered(torch.export.export(model, (x,)))
    assert len(parts(edge)) == 1 and left(edge) == []
    assert b"mul_mat" in parts(edge)[0]


class Doubled(torch.nn.Module):
    """Between two layers it computes in a dtype that ggml has not."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        wide = self.a(x).to(torch.float64)
        return self.b((wide * wide + 1e-12).to(torch.float32))


def test_the_rest_runs_on_the_kernels_of_executorch() -> None:
    torch.manual_seed(0)
    model, x = Doubled().eval(), torch.randn(2, 6)
    edge = lowered(torch.export.export(model, (x,)))
    assert len(parts(edge)) == 2
    assert "aten.mul.Tensor" in left(edge)
    assert error(Loaded(file_of(edge)), model, (x,)) <= 1e-4


def test_every_shape_within_the_bounds() -> None:
    model, x = small()
    batch = torch.export.Dim("batch", min=1, max=5)
    method = Loaded(file_of(lowered(torch.export.export(model, (x,), dynamic_shapes=({0: batch},)))))
    for count in (5, 2, 1, 3):
        assert error(method, model, (torch.randn(count, 6),)) <= 1e-4


def test_shapes_with_other_outputs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call's arguments do not tell which are outputs: memory behind them would be written to."""

    def changed(*arguments: Any) -> bytes:
        message = pb.Recordings.FromString(encode(*arguments))
        outputs = message.recordings[-1].outputs
        outputs.append(outputs[0])
        return message.SerializeToString()

    monkeypatch.setattr("ggml.executorch.backend.encode", changed)
    model, x = small()
    batch = torch.export.Dim("batch", min=1, max=3)
    raw = file_of(lowered(torch.export.export(model, (x,), dynamic_shapes=({0: batch},))))
    with pytest.raises(RuntimeError):
        Loaded(raw)


def test_too_many_shapes_are_refused() -> None:
    model, x = small()
    batch = torch.export.Dim("batch", min=1, max=5000)
    with pytest.raises(ggml.UnsupportedOpError, match=r"more than 64 shapes; give torch\.export\.Dim a smaller max"):
        lowered(torch.export.export(model, (x,), dynamic_shapes=({0: batch},)))


class Counting(torch.nn.Module):
    """Adds up what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3))

    def forward(self, x: Any) -> Any:
        self.total.add_(x)
        return self.total * 2


def test_buffers_keep_their_values_from_call_to_call() -> None:
    x = torch.tensor([1.0, 2.0, -3.0])
    edge = lowered(torch.export.export(Counting().eval(), (x,)))
    assert parts(edge)
    method = Loaded(file_of(edge))
    assert [method.execute([x])[0].tolist() for _ in range(3)] == [[2, 4, -6], [4, 8, -12], [6, 12, -18]]


def test_quantised_weights_are_smaller() -> None:
    torch.manual_seed(0)
    model, x = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU()).eval(), torch.randn(3, 64)
    export = torch.export.export(model, (x,))
    whole, small_file = file_of(lowered(export)), file_of(lowered(export, quantization=ggml.q8_0))
    assert len(small_file) < len(whole) * 0.5
    assert error(Loaded(small_file), model, (x,)) < 0.02


def counts() -> tuple[int, int, int]:
    """Memory in pages, threads, and open files of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages, len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def test_a_hundred_loads_leave_nothing() -> None:
    torch.manual_seed(0)
    model, x = torch.nn.Sequential(torch.nn.Linear(256, 1024), torch.nn.Linear(1024, 256)).eval(), torch.randn(8, 256)
    raw = file_of(lowered(torch.export.export(model, (x,))))

    def once() -> None:
        assert error(Loaded(raw), model, (x,)) <= 1e-4

    for _ in range(10):
        once()
    pages, threads, files = counts()
    for _ in range(100):
        once()
    after = counts()
    assert after[1:] == (threads, files)
    # The weights alone are 500 pages: one copy that stays would be seen a hundred times.
    assert after[0] - pages < 600


HOSTILE = """
import random, sys, warnings
warnings.simplefilter("ignore")
import torch
from ggml.executorch import library
from tests.ggml.executorch.running import Loaded
library.register()
raw, at, end = open(sys.argv[1], "rb").read(), int(sys.argv[2]), int(sys.argv[3])
draw, refused = random.Random(int(sys.argv[4])), 0
x = torch.ones(2, 6)
for _ in range(300):
    changed = bytearray(raw)
    for _ in range(draw.choice((1, 1, 2, 8))):
        place = draw.randrange(at, end)
        changed[place] = draw.choice((draw.randrange(256), changed[place] ^ 1 << draw.randrange(8)))
    try:
        Loaded(bytes(changed)).execute([x])
    except RuntimeError:
        refused += 1
print(refused)
"""


@pytest.mark.parametrize("seed", range(2))
def test_hostile_bytes_of_a_part(tmp_path: Path, seed: int) -> None:
    """A part that somebody changed is an error of ExecuTorch's, or runs; no signal ends the process."""
    model, x = small()
    edge = lowered(torch.export.export(model, (x,)))
    (processed,) = parts(edge)
    raw = file_of(edge)
    (tmp_path / "model.pte").write_bytes(raw)
    at = raw.index(processed)
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, tmp_path / "model.pte", str(at), str(at + len(processed)), str(seed)],
        capture_output=True, text=True, timeout=600, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) > 100


def test_what_is_not_built_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"run python -m ggml\.executorch\.build"):
        library.register.__wrapped__()


def test_bad_options_are_refused() -> None:
    with pytest.raises(ggml.DTypeError, match="quantised dtype"):
        ggml.executorch.GgmlPartitioner(quantization=ggml.float32)  # type: ignore[attr-defined]


def test_page_does_what_it_shows(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "ggml" / "executorch.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    assert "assert (y - model(x))" in code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
