"""Tokens that are guessed ahead, with real stages: the texts are those that come without."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import cluster
from cluster.api.results import Completion
from cluster.coordinator import abilities
from cluster.demo import model_path
from cluster.engine.drafting import chain, speculation
from cluster.engine.sequence import Sequence
from tests.native.programs.serving import served_program

NUM_TOKENS = 40
WORDS = ("once", "upon", "a", "time", "there", "was", "little", "girl", "dog", "Tom", "lost", "her", "ball")
REPEATING = "The dog ran to the park. The cat ran to the park. " * 4
# What repeats itself whatever the model likes.
GRAMMAR = 'start: ("the dog ran to the park. " | "the cat saw it all. ")+'
SHARE_RIGHT = 0.7


@pytest.fixture(autouse=True)
def _guess_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever steps take here: as often as there is anything to guess, and with as many rows each time."""
    monkeypatch.setattr(speculation, "DRAFT_GAIN", -1.0)
    monkeypatch.setattr(speculation, "DRAFT_LENGTHS", (3,))
    monkeypatch.setattr(speculation, "LEAST_WAITED_RATE", 0.0)
    monkeypatch.setattr(speculation, "RUN_GAIN", -1.0)
    monkeypatch.setattr(chain, "DRAFT_LENGTHS", (3,))


class Knowing:
    """Knows the texts, and guesses a part of them wrong."""

    def __init__(self, texts: list[Completion]) -> None:
        self._texts = texts
        self._draw = random.Random(3)

    def draft(self, sequence: Sequence, max_tokens: int) -> list[int]:
        begun = tuple(sequence.log[len(sequence.prompt) :])
        text = next((each.token_ids for each in self._texts if each.token_ids[: len(begun)] == begun), ())
        begin = len(begun) + len(sequence.ahead)
        right = text[begin : begin + max_tokens]
        return [token if self._draw.random() < SHARE_RIGHT else (token + 1) % 200 for token in right]

    def rate(self, sequence: Sequence) -> float:
        return SHARE_RIGHT

    def forget(self, request_id: int) -> None:
        pass


def asked() -> list[tuple[str, cluster.SamplingParams]]:
    """Greedy and sampled texts, with everything that looks back at what was drawn."""
    draw = random.Random(5)
    prompts = ["Once upon a time", REPEATING, *(" ".join(draw.choices(WORDS, k=draw.randint(1, 24))) for _ in range(6))]
    some = {"max_tokens": NUM_TOKENS, "ignore_eos": True}
    sampled = {"temperature": 0.8, **some}
    found = [(prompt, cluster.SamplingParams(temperature=0.0, **some)) for prompt in prompts]
    found += [(prompt, cluster.SamplingParams(seed=seed, **sampled)) for seed, prompt in enumerate(prompts)]
    for seed, more in enumerate(
        (
            {"repeat_penalty": 1.2, "repeat_last_n": 32, "presence_penalty": 0.4},
            {"dry_multiplier": 0.8},
            {"mirostat": 2},
            {"stop": ("ed ",), "logprobs": 3},
            {"grammar": GRAMMAR},
        )
    ):
        found += [(prompts[seed], cluster.SamplingParams(seed=seed, **more, **sampled))]
    return found


def texts(draft: str, draft_runs: int = 1) -> list[Completion]:
    with (
        served_program(Path(model_path()), 2, ctx_size=128, parallel=2, draft=draft, draft_runs=draft_runs) as served,
        served.client() as client,
    ):
        found = [client.generate(prompt, params) for prompt, params in asked()]
        status = client.status()
    assert status.draft == draft
    assert status.num_drafted == sum(one.timings.num_drafted for one in found)
    if draft == "off" or draft_runs == 1:
        assert status.num_dropped_runs == 0
    assert status.num_dropped_runs == sum(one.timings.num_dropped_runs for one in found)
    # A guess that was right behind the last token of a text counts for the cluster, and for no text.
    assert sum(one.timings.num_accepted for one in found) <= status.num_accepted <= status.num_drafted
    return found


@pytest.fixture(scope="module")
def plain() -> list[Completion]:
    return texts("off")


@pytest.mark.parametrize("draft_runs", [1, 0])
def test_texts_are_those_without_guesses(
    plain: list[Completion], draft_runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a draft is sent before it is known that the one before it was right."""
    monkeypatch.setattr(abilities, "LookupDrafter", lambda: Knowing(plain))
    monkeypatch.setattr(speculation, "RUN_GAIN", -1.0)  # several, however long steps take on this machine
    drafted = texts("ngram", draft_runs)
    for (prompt, params), one, other in zip(asked(), plain, drafted, strict=True):
        assert other.token_ids == one.token_ids, (prompt, params)
        assert (other.text, other.finish_reason) == (one.text, one.finish_reason)
        assert other.logprobs == pytest.approx(one.logprobs, abs=1e-2)
        timings = other.timings
        num_wrong = timings.num_drafted - timings.num_accepted + timings.num_dropped_runs
        assert timings.num_accepted and num_wrong, (prompt, params)
        assert one.timings.num_drafted == 0
    if draft_runs != 1:
        assert sum(one.timings.num_dropped_runs for one in drafted) > len(drafted)


def test_what_repeats_itself_is_guessed_right_for_two_streams_at_once() -> None:
    params = cluster.SamplingParams(temperature=0.8, seed=1, grammar=GRAMMAR, max_tokens=NUM_TOKENS)
    with (
        served_program(Path(model_path()), 2, ctx_size=128, parallel=2, draft="auto") as served,
        served.client() as client,
    ):
        both = client.generate([REPEATING, "Once"], params)
        assert client.status().draft == "auto"
    num_drafted = sum(one.timings.num_drafted for one in both)
    assert num_drafted > 10
    assert sum(one.timings.num_accepted for one in both) > num_drafted / 2
