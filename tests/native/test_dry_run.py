"""What a stage will take is known before it is loaded: compared with what libllama reports once it is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import worker_native
from cluster.api.errors import UsageError
from cluster.cutting.header import read_header
from cluster.cutting.rules import check
from cluster.planning.measure.dry_run import Context, DryRun
from cluster.store.slices import SliceStore
from cluster.synthetic.model import Shape, write_model
from tests.fakes.opened import opened
from tests.fakes.tiny_models import TinyModel, write_tiny

pytestmark = pytest.mark.native

TOLERANCE = 0.05
MODELS = {
    "wide": lambda path: write_model(path, Shape(4, 512, 8, 2, 1408), "Q4_0"),
    "many-heads": lambda path: write_model(path, Shape(5, 512, 16, 16, 512), "Q8_0"),
    "long-feed-forward": lambda path: write_model(path, Shape(3, 256, 4, 1, 4096), "F16"),
    "llama-experts": lambda path: write_tiny(path, TinyModel("llama", num_experts=4, kind="Q8_0")),
    "qwen2-tied": lambda path: write_tiny(path, TinyModel("qwen2", tied=True)),
    "qwen3": lambda path: write_tiny(path, TinyModel("qwen3", kind="Q8_0")),
    "gemma3-window": lambda path: write_tiny(path, TinyModel("gemma3", tied=True, window=4, pattern=(0, 1, 1, 0))),
}
CONTEXTS = (
    Context(256, 1, 64, "f16", "f16", "auto"),
    Context(128, 6, 512, "f16", "f16", "on"),
    Context(512, 2, 128, "f32", "f32", "off"),
    Context(1024, 4, 256, "q8_0", "f16", "auto", use_extra_bufts=False),
    Context(256, 3, 32, "q8_0", "q4_0", "on"),
)


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.gguf"
    MODELS[request.param](path)
    return path


@pytest.fixture
def dry_run(model: Path) -> Iterator[DryRun]:
    with DryRun(check(read_header(model))) as opened:
        yield opened


def loaded_figures(path: Path, context: Context) -> tuple[int, int, int]:
    """(weights, KV, compute) of a slice that has computed a full microbatch."""
    slots, rows = context.n_slots, min(context.n_ubatch, context.n_ctx)
    options = {name: getattr(context, name) for name in Context.__slots__}
    with closing(worker_native.Slice(str(path), n_batch=context.n_ubatch, **options)) as loaded:
        tokens = np.arange(rows, dtype=np.int32) % 30
        hidden = None if loaded.is_first else np.zeros((rows, loaded.hidden_width), np.float32)
        wants = np.zeros(rows, np.bool_)
        loaded.forward(tokens, np.arange(rows, dtype=np.int32), np.full(rows, slots - 1, np.int32), wants, hidden)
        return loaded.weight_bytes, loaded.kv_bytes, loaded.compute_bytes


def test_the_figures_are_those_of_the_loaded_slice(model: Path, dry_run: DryRun, tmp_path: Path) -> None:
    header, store = read_header(model), SliceStore(tmp_path)
    last = header.num_layers
    for (first, end), context in itertools.product(((0, last), (0, 2), (1, 2), (1, last)), CONTEXTS):
        planned = dry_run.measure(first, end, "CPU", context)
        found = loaded_figures(store.get_slice(opened(model), first, end).path, context)
        expected = planned.weight_bytes, planned.kv_bytes, planned.compute_bytes
        assert found == pytest.approx(expected, rel=TOLERANCE), (first, end, context)


def test_room_for_logits_is_counted_where_libllama_keeps_it(dry_run: DryRun, model: Path) -> None:
    """A first slice flags all rows as outputs, so that libllama keeps a full width of logits for each."""
    context = CONTEXTS[1]
    vocab_size = read_header(model).tensors[0].shape[0]
    first = dry_run.measure(0, 1, "CPU", context)
    assert first.output_bytes == 512 * vocab_size * 4
    assert dry_run.measure(1, 2, "CPU", context).output_bytes < first.output_bytes


def test_what_libllama_refuses_is_one_error(dry_run: DryRun) -> None:
    with pytest.raises(UsageError, match=r"layers \[0, 1\): .*no 'CUDA9'"):
        dry_run.measure(0, 1, "CUDA9", CONTEXTS[0])
