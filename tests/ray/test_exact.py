"""A model cut into stages says what the whole model says."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import cluster
from tests.conftest import UpCluster
from tests.reference import WholeModel

NUM_PROMPTS = 20
NUM_TOKENS = 64
CONTEXT = 256
GREEDY = cluster.SamplingParams(temperature=0.0, max_tokens=NUM_TOKENS)


@pytest.fixture(scope="module")
def whole(demo_model: Path) -> Iterator[WholeModel]:
    model = WholeModel(demo_model, CONTEXT)
    yield model
    model.close()


@pytest.fixture(scope="module", params=[1, 2, 3], ids="{}-stage".format)
def client(request: pytest.FixtureRequest, up_cluster: UpCluster) -> Iterator[cluster.Client]:
    arguments = ("--demo", "--stages", str(request.param), "-c", str(CONTEXT), "-t", "1")
    with up_cluster(*arguments) as home, cluster.connect(home.address, home.client_secret) as connected:
        yield connected


def make_prompts() -> list[str]:
    """Openings of different lengths, in and out of the style the model knows."""
    draw = random.Random(5)
    words = ["once", "upon", "a", "time", "there", "was", "little", "girl", "dog", "Tom", "lost", "her", "ball"]
    prompts = ["Once upon a time", "x", "The rabbit was sad because", "One day, ", "\n\n", "émile 走る"]
    prompts += [" ".join(draw.choices(words, k=draw.randint(1, 24))) for _ in range(NUM_PROMPTS - len(prompts))]
    return prompts


def test_greedy_text_equals_the_whole_model(client: cluster.Client, whole: WholeModel) -> None:
    for prompt in make_prompts():
        tokens = client.tokenize(prompt)
        completion = client.generate(prompt, GREEDY)
        expected = whole.greedy(tokens, NUM_TOKENS)
        assert list(completion.token_ids) == expected, prompt
        # The end token is reported and shows no text.
        assert completion.text == client.detokenize(completion.token_ids)


def test_logits_equal_the_whole_model_bit_for_bit(client: cluster.Client, whole: WholeModel) -> None:
    for num_tokens in (1, 2, 7, 64, 200):
        tokens = np.random.default_rng(num_tokens).integers(0, whole.vocab_size, num_tokens).tolist()
        whole.reset()
        expected = whole.forward(tokens)
        got = client.logits(tokens)
        assert got.shape == (num_tokens, whole.vocab_size)
        assert got.tobytes() == expected.tobytes()


def test_seeded_sampling_repeats(client: cluster.Client) -> None:
    params = cluster.SamplingParams(temperature=1.0, seed=11, max_tokens=32)
    first = client.generate("One day", params)
    assert client.generate("One day", params).token_ids == first.token_ids
    other = cluster.SamplingParams(temperature=1.0, seed=12, max_tokens=32)
    assert client.generate("One day", other).token_ids != first.token_ids
