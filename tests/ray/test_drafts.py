"""Tokens that are guessed ahead on a real cluster: the texts are those that come without."""

from __future__ import annotations

import random

import cluster
from cluster.api.results import Completion
from tests.conftest import UpCluster

NUM_TOKENS = 96
NUM_SEEDS = 8
WORDS = ("once", "upon", "a", "time", "there", "was", "little", "girl", "dog", "Tom", "lost", "her", "ball")
REPEATING = "The dog ran to the park. The cat ran to the park. " * 4


def asked() -> list[tuple[str, cluster.SamplingParams]]:
    """Greedy and sampled texts, with everything that looks back at what was drawn."""
    draw = random.Random(5)
    prompts = ["Once upon a time", REPEATING, *(" ".join(draw.choices(WORDS, k=draw.randint(1, 24))) for _ in range(8))]
    greedy = cluster.SamplingParams(temperature=0.0, max_tokens=NUM_TOKENS, ignore_eos=True)
    found = [(prompt, greedy) for prompt in prompts]
    for seed in range(NUM_SEEDS):
        sampled = cluster.SamplingParams(temperature=0.8, seed=seed, max_tokens=NUM_TOKENS, ignore_eos=True)
        found.append((prompts[seed], sampled))
    more = {"temperature": 0.8, "max_tokens": NUM_TOKENS, "ignore_eos": True}
    found.append((REPEATING, cluster.SamplingParams(seed=1, repeat_penalty=1.2, repeat_last_n=32, **more)))
    found.append((REPEATING, cluster.SamplingParams(seed=2, dry_multiplier=0.8, **more)))
    found.append((REPEATING, cluster.SamplingParams(seed=3, mirostat=2, **more)))
    found.append((REPEATING, cluster.SamplingParams(seed=4, stop=("park",), logprobs=3, temperature=0.8)))
    found.append((REPEATING, cluster.SamplingParams(seed=5, grammar='start: ("the dog " | "a cat ")+', **more)))
    return found


def texts(up_cluster: UpCluster, draft: str) -> tuple[list[Completion], cluster.ClusterStatus]:
    arguments = ("--demo", "--stages", "2", "-c", "512", "-t", "1", "-np", "2", "--no-http", "--draft", draft)
    with up_cluster(*arguments) as home, cluster.connect(home.address, home.client_secret) as client:
        return [client.generate(prompt, params) for prompt, params in asked()], client.status()


def test_texts_are_those_without_guesses_and_come_with_some(up_cluster: UpCluster) -> None:
    plain, off = texts(up_cluster, "off")
    drafted, on = texts(up_cluster, "ngram")
    for (prompt, params), one, other in zip(asked(), plain, drafted, strict=True):
        assert other.token_ids == one.token_ids, (prompt, params)
        assert (other.text, other.finish_reason) == (one.text, one.finish_reason)
    assert (off.draft, off.num_drafted) == ("off", 0)
    assert not any(one.timings.num_drafted for one in plain)
    assert on.draft == "ngram"
    assert 0 < on.num_accepted <= on.num_drafted
    of_repeating = drafted[1].timings
    assert of_repeating.num_drafted > 0
    assert of_repeating.num_accepted > of_repeating.num_drafted / 2
