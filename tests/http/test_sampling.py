"""What is asked of sampling, through coordinator, wire and real stages: against the raw logits of the same model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from cluster.api.errors import UsageError
from cluster.api.results import FinishReason, PromptCounts, TokenEvent
from cluster.api.status import SlotState
from cluster.client.sync import Client
from tests.http.serving import Served

GREEDY = {"temperature": 0.0, "max_tokens": 24}


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    with Client(served.endpoint) as found:
        yield found


def logprobs_of(client: Client, ids: list[int]) -> NDArray[np.float64]:
    logits = client.logits(ids).astype(np.float64)
    highest = logits.max(1, keepdims=True)
    found: NDArray[np.float64] = logits - highest - np.log(np.exp(logits - highest).sum(1, keepdims=True))
    return found


def tokens_of(events: list[TokenEvent]) -> list[int]:
    return [event.token for event in events if event.token is not None]


@pytest.mark.parametrize("max_tokens", [0, 3])
def test_a_prompts_tokens_have_the_log_probabilities_of_their_logits(client: Client, max_tokens: int) -> None:
    ids = client.tokenize("Once upon a time there was a little girl named Lily. " * 9)
    expected = logprobs_of(client, ids)
    events = list(client.stream(ids, temperature=0.0, max_tokens=max_tokens, prompt_logprobs=3))
    told = events[0].prompt_logprobs
    assert [one.token for one in told] == ids
    assert told[0].logprob is None
    for at, one in enumerate(told[1:]):
        assert one.logprob == pytest.approx(expected[at, ids[at + 1]], abs=1e-5)
        assert [token for token, _ in one.top] == np.argsort(-expected[at], kind="stable")[:3].tolist()
    assert len(tokens_of(events)) == max_tokens
    assert events[0].prompt == PromptCounts(len(ids), 0, len(ids))
    completion = client.generate(ids, temperature=0.0, max_tokens=max_tokens, prompt_logprobs=3)
    assert completion.prompt_logprobs == told


def test_end_tokens_are_not_drawn_where_they_are_ignored_or_too_early(client: Client, served: Served) -> None:
    prompt = "Once upon a time"
    ended = client.generate(prompt, temperature=0.0, max_tokens=300)
    assert ended.finish_reason is FinishReason.STOP
    ends = {ended.token_ids[-1]}
    on = client.generate(prompt, temperature=0.0, max_tokens=len(ended.token_ids) + 5, ignore_eos=True)
    assert on.finish_reason is FinishReason.LENGTH and not ends & set(on.token_ids)
    later = client.generate(prompt, temperature=0.0, max_tokens=400, min_tokens=len(ended.token_ids) + 3)
    assert later.token_ids[: len(ended.token_ids) - 1] == ended.token_ids[:-1]
    assert not ends & set(later.token_ids[: len(ended.token_ids) + 3])


def test_biases_bans_and_stop_tokens(client: Client) -> None:
    plain = client.generate("Once upon a time", **GREEDY)  # type: ignore[arg-type]
    banned = client.generate("Once upon a time", **GREEDY, logit_bias={plain.token_ids[0]: float("-inf")})  # type: ignore[arg-type]
    assert banned.token_ids[0] != plain.token_ids[0]
    forced = client.generate("Once upon a time", **GREEDY, logit_bias={77: 100.0})  # type: ignore[arg-type]
    assert set(forced.token_ids) == {77}
    stopped = client.generate("Once upon a time", **GREEDY, stop_token_ids=(plain.token_ids[5],))  # type: ignore[arg-type]
    assert stopped.token_ids == plain.token_ids[: plain.token_ids.index(plain.token_ids[5]) + 1]
    assert stopped.finish_reason is FinishReason.STOP and stopped.stop_string is None
    with pytest.raises(UsageError, match="logit_bias: token 99999 is outside of the vocabulary"):
        client.generate("Once", logit_bias={99999: 1.0})


def test_the_stop_string_that_ended_a_text_is_told(client: Client) -> None:
    plain = client.generate("Once upon a time", **GREEDY)  # type: ignore[arg-type]
    word = plain.text.split()[4]
    stopped = client.generate("Once upon a time", **GREEDY, stop=("never there", word))  # type: ignore[arg-type]
    assert (stopped.stop_string, stopped.finish_reason) == (word, FinishReason.STOP)
    assert word not in stopped.text and plain.text.startswith(stopped.text)


@pytest.mark.parametrize(
    "params",
    [
        {"typical_p": 0.6},
        {"top_n_sigma": 1.0},
        {"xtc_probability": 0.8, "xtc_threshold": 0.05},
        {"dry_multiplier": 1.0},
        {"mirostat": 1},
        {"mirostat": 2, "mirostat_tau": 2.0},
        {"dynatemp_range": 0.5},
        {"adaptive_target": 0.3},
        {"samplers": "temperature;top_k"},
    ],
    ids=str,
)
def test_every_way_of_drawing_repeats_itself_alone_and_in_company(client: Client, params: dict[str, object]) -> None:
    texts = [client.generate("The cat", seed=5, max_tokens=40, **params).text for _ in range(2)]
    assert texts[0] == texts[1]
    assert texts[0] != client.generate("The cat", seed=6, max_tokens=40, **params).text
    together = client.generate(["The cat", "A dog", "The cat"], seed=5, max_tokens=40, **params)
    assert [together[0].text, together[2].text] == texts


def test_choices_of_one_prompt_compute_it_once(client: Client) -> None:
    prompt = client.tokenize("The little dog ran to the big tree and sat down under it to rest. " * 4)
    found = client.generate([prompt] * 4, max_tokens=4, temperature=0.9)
    assert sorted(one.timings.num_cached_tokens for one in found)[1:] == [len(prompt) - 1] * 3


def test_slots_tell_what_runs(client: Client) -> None:
    with client.stream("Once upon a time", max_tokens=300, ignore_eos=True) as events:
        for _ in range(4):
            next(events)
        busy = [slot for slot in client.slots() if slot.state is not SlotState.IDLE]
    assert len(client.slots()) == 4
    (slot,) = busy
    assert slot.state is SlotState.GENERATING and slot.num_generated >= 4 and slot.num_prompt_tokens > 1


def test_progress_is_told_only_where_it_is_asked_for(client: Client) -> None:
    ids = client.tokenize("It was a sunny day and the birds sang in the trees. " * 14)
    events = list(client.stream(ids, max_tokens=2, report_progress=True))
    told = [event.prompt.num_computed for event in events if event.token is None and event.prompt is not None]
    assert told == sorted(set(told)) and told and told[-1] < len(ids)
    assert all(event.token is not None for event in client.stream(ids[1:], max_tokens=2))
