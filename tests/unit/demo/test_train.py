"""The training script: a short run learns, ends by the clock, and exports what libllama computes too."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize
from llama_cpp import Llama

from cluster.demo.dialogue.chats import chats
from cluster.demo.documents import Mixture, chat_document, story_document
from cluster.demo.export import write_gguf
from cluster.demo.grammar import stories
from cluster.demo.tokenizer import IM_END, Tokenizer, train_merges

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from cluster.demo.model import ModelShape, StoryModel  # noqa: E402
from cluster.demo.train import IGNORED, Phase, Recipe, batch, entropy_per_token, fit, held_out_loss  # noqa: E402


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(train_merges(itertools.islice(stories(0), 200), 200))


def small_model(tokenizer: Tokenizer) -> StoryModel:
    torch.manual_seed(0)
    return StoryModel(ModelShape(vocab=len(tokenizer.tokens), d_model=64, num_layers=2, d_ff=96, context_length=512))


def story_rows(tokenizer: Tokenizer, num_rows: int, length: int) -> Any:
    return batch((story_document(tokenizer, story) for story in stories(1)), num_rows, length)[0]


def test_rows_begin_with_bos_and_hold_whole_stories(tokenizer: Tokenizer) -> None:
    ids = story_rows(tokenizer, 3, 600)
    assert ids.shape == (3, 600)
    assert (ids[:, 0] == tokenizer.bos_id).all()
    text = tokenizer.decode_bytes(ids[0, : (ids[0] == tokenizer.eos_id).nonzero()[0, 0]].tolist())
    assert text.decode() == next(stories(1))


def test_of_a_chat_only_the_answers_and_their_ends_are_learned(tokenizer: Tokenizer) -> None:
    chat = next(chat for chat in chats(4, max_exchanges=3) if chat.system and len(chat.exchanges) == 3)
    _, targets = batch(itertools.repeat(chat_document(tokenizer, chat)), 1, len(chat_document(tokenizer, chat).ids))
    learned = [target for target in targets[0].tolist() if target != IGNORED]
    end = tokenizer.control_id(IM_END)
    expected = [id for exchange in chat.exchanges for id in (*tokenizer.encode(exchange.answer), end)]
    assert learned == expected


def test_long_rows_come_at_the_end() -> None:
    recipe = Recipe()
    lengths = [recipe.phase(progress).row_length for progress in (0.0, 0.5, 0.9, 0.99)]
    assert lengths == sorted(lengths)
    assert lengths[-1] == recipe.context_length >= 4096


def test_a_position_does_not_see_later_ones(tokenizer: Tokenizer) -> None:
    model, ids = small_model(tokenizer), story_rows(tokenizer, 1, 32)
    changed = ids.clone()
    changed[0, 20:] = 5
    with torch.no_grad():
        torch.testing.assert_close(model(ids)[:, :20], model(changed)[:, :20])


def test_a_short_run_is_seeded_and_lowers_the_loss(tokenizer: Tokenizer) -> None:
    recipe = Recipe(num_steps=80, batch_tokens=512, phases=(Phase(0.0, 64, Mixture()), Phase(0.8, 128, Mixture())))
    untrained = held_out_loss(small_model(tokenizer), tokenizer, recipe)
    first, again = (fit(small_model(tokenizer), tokenizer, recipe, seed=2, limit_s=600.0) for _ in range(2))
    assert first.held_out_loss == again.held_out_loss
    assert first.num_steps == 80
    assert entropy_per_token(tokenizer, 20) < first.held_out_loss < untrained - 1.0


def test_the_clock_ends_a_slow_run(tokenizer: Tokenizer) -> None:
    recipe = Recipe(num_steps=100_000, batch_tokens=256, phases=(Phase(0.0, 64, Mixture()),))
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
