"""What is computed of a model with an encoder: one prompt, parted by the decoder's start, then single tokens."""

from __future__ import annotations

import pytest

from cluster.verify.steps import MIN_ENCODER_ROWS, make_encoder_steps

START = 2


@pytest.mark.parametrize(("context_length", "ubatch_size"), [(64, 512), (40, 16), (MIN_ENCODER_ROWS, 512)])
def test_the_start_parts_the_prompt_once_and_rows_go_on_behind_it(context_length: int, ubatch_size: int) -> None:
    prompt, *singles = make_encoder_steps(START, 5, context_length, ubatch_size)
    assert prompt.tokens.index(START) == prompt.num_encoded > 0
    assert prompt.num_encoded + 1 < len(prompt.tokens) <= ubatch_size
    positions = [position for step in (prompt, *singles) for position in step.positions]
    assert positions == list(range(len(positions)))
    assert len(positions) <= context_length
    batch = prompt.microbatch(0)
    assert batch.wants_logits.tolist() == [row >= prompt.num_encoded for row in range(len(prompt.tokens))]
    assert batch.returns_logits.tolist() == list(range(prompt.num_encoded, len(prompt.tokens)))
    assert all(step.microbatch(1).wants_logits.all() for step in singles)
