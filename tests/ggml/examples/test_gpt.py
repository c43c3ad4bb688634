"""The example of letters learns a page of ours, and writes letters of it up to an end."""

from __future__ import annotations

from pathlib import Path

import pytest

import ggml
from ggml.examples import gpt

PAGE = Path(__file__).parents[3] / "docs" / "ggml" / "design.md"


def test_the_loss_falls_below_what_counts_of_letters_give() -> None:
    text = PAGE.read_text(encoding="utf-8")
    _, stream = gpt.tokens_of(text)
    counts = [float((stream == token).mean()) for token in set(stream.tolist())]
    model, letters, losses = gpt.train(text, 100, 8, report=lambda line: None)
    by_count = float(-sum(share * ggml.tensor(share).log().item() for share in counts))
    assert sum(losses[-20:]) / 20 < by_count - 0.3  # nats a letter: it has learnt what follows what
    ggml.manual_seed(0)
    prompt = ggml.tensor([letters.encode("The ")])
    written = model.generate(prompt, 40, 1.0)
    assert written[0, :4].tolist() == prompt[0].tolist()
    assert 4 < written.shape[1] <= 44
    assert model.generate(prompt, 10).tolist() == model.generate(prompt, 10).tolist()


def test_a_text_of_one_paragraph_again_and_again_is_known_by_heart() -> None:
    sentence = "each row of the table is one function"
    model, letters, losses = gpt.train("\n\n".join([sentence] * 20), 60, 8, report=lambda line: None)
    assert losses[-1] < 0.5
    written = model.generate(ggml.tensor([letters.encode("each row")]), 100)[0].tolist()
    assert written[-1] == gpt.END, "it stops by itself"
    assert letters.decode(written) == sentence


@pytest.mark.parametrize(("text", "why"), [("", "empty"), ("short", "more than")])
def test_texts_that_nothing_can_be_learnt_of(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        gpt.train(text, 1)


def test_a_prompt_of_letters_that_the_text_had_not() -> None:
    with pytest.raises(ValueError, match="no 'z'"):
        gpt.Letters("abc").encode("az")
