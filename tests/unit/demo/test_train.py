"""The training script: a short run learns, ends by the clock, and exports what libllama computes too."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize
from llama_cpp import Llama

from cluster.demo.export import write_gguf
from cluster.demo.grammar import stories
from cluster.demo.tokenizer import Tokenizer, train_merges

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from cluster.demo.model import ModelShape, StoryModel  # noqa: E402
from cluster.demo.train import Recipe, batch, entropy_per_token, fit, held_out_loss  # noqa: E402


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(train_merges(itertools.islice(stories(0), 200), 200))


def small_model(tokenizer: Tokenizer) -> StoryModel:
    torch.manual_seed(0)
    return StoryModel(ModelShape(vocab=len(tokenizer.tokens), d_model=64, num_layers=2, d_ff=96, context_length=512))


def test_rows_begin_with_bos_and_hold_whole_stories(tokenizer: Tokenizer) -> None:
    ids = batch(tokenizer, stories(1), 3, 600)
    assert ids.shape == (3, 601)
    assert (ids[:, 0] == tokenizer.bos_id).all()
    text = tokenizer.decode_bytes(ids[0, : (ids[0] == tokenizer.eos_id).nonzero()[0, 0]].tolist())
    assert text.decode() == next(stories(1))


def test_a_position_does_not_see_later_ones(tokenizer: Tokenizer) -> None:
    model, ids = small_model(tokenizer), batch(tokenizer, stories(1), 1, 31)
    changed = ids.clone()
    changed[0, 20:] = 5
    with torch.no_grad():
        torch.testing.assert_close(model(ids)[:, :20], model(changed)[:, :20])


def test_a_short_run_is_seeded_and_lowers_the_loss(tokenizer: Tokenizer) -> None:
    recipe = Recipe(num_steps=80, batch_tokens=512, short_row=64, long_row=128)
    untrained = held_out_loss(small_model(tokenizer), tokenizer, recipe)
    first, again = (fit(small_model(tokenizer), tokenizer, recipe, seed=2, limit_s=600.0) for _ in range(2))
    assert first.held_out_loss == again.held_out_loss
    assert first.num_steps == 80
    assert entropy_per_token(tokenizer, 20) < first.held_out_loss < untrained - 1.0


def test_the_clock_ends_a_slow_run(tokenizer: Tokenizer) -> None:
    recipe = Recipe(num_steps=100_000, batch_tokens=256, short_row=64, long_row=64)
    assert fit(small_model(tokenizer), tokenizer, recipe, seed=2, limit_s=1.0).num_steps < 1000


def test_libllama_computes_the_exported_model(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model, path = small_model(tokenizer), tmp_path / "small.gguf"
    tensors = {name: weight.detach().numpy() for name, weight in model.named_parameters()}
    write_gguf(path, model.shape, tokenizer, tensors)
    quantised = {t.name: dequantize(t.data, t.tensor_type) for t in GGUFReader(path).tensors}
    model.load_state_dict({name: torch.tensor(array) for name, array in quantised.items()})
    ids = [tokenizer.bos_id, *tokenizer.encode(next(stories(3)))]
    whole = Llama(str(path), n_ctx=512, n_threads=1, logits_all=True, verbose=False)
    whole.eval(ids)
    theirs = whole.scores[: len(ids)].astype(np.float64)
    with torch.no_grad():
        ours = model(torch.tensor([ids]))[0].double().numpy()
    cosine = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert cosine.min() > 0.999
