"""What goes through the stages for a prompt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.api.errors import UsageError
from cluster.api.sampling import SamplingParams
from cluster.coordinator.abilities import can_draft, makes_text, prompt_for, takes_whole
from tests.unit.actors.supervising.test_repairer import COORDINATOR

PLAIN = SamplingParams()
WITH_ENCODER = replace(COORDINATOR, decoder_start=0, can_truncate=False)


def test_a_prompt_without_an_encoder_stays_as_it_is() -> None:
    for tokens in ([], [5, 0, 6]):
        assert prompt_for(COORDINATOR, tokens, PLAIN) is tokens
    assert prompt_for(COORDINATOR, [5], None) == [5]
    assert not takes_whole(COORDINATOR)


def test_the_decoders_start_token_parts_a_prompt() -> None:
    assert prompt_for(WITH_ENCODER, [5, 6], PLAIN) == [5, 6, 0]
    assert prompt_for(WITH_ENCODER, [5, 0, 6], PLAIN) == [5, 0, 6]
    assert makes_text(WITH_ENCODER)
    assert takes_whole(WITH_ENCODER)
    assert not can_draft(WITH_ENCODER)


def test_what_an_encoder_cannot_read_is_refused() -> None:
    for tokens in ([], [0], [0, 5]):
        with pytest.raises(UsageError, match="prompt: nothing for the encoder"):
            prompt_for(WITH_ENCODER, tokens, PLAIN)
    for params in (None, SamplingParams(prompt_logprobs=1)):
        with pytest.raises(UsageError, match="which predicts no token of the prompt"):
            prompt_for(WITH_ENCODER, [5], params)
