"""A model with an encoder and a decoder, cut in the decoder: its text is libllama's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import cluster
from cluster.api.errors import UnsupportedModelError, UsageError
from tests.conftest import UpCluster
from tests.native.slice.test_encoder_decoder import Reference
from tests.native.tiny_t5 import EOS, START, write_t5

NUM_TOKENS = 20
GREEDY = cluster.SamplingParams(temperature=0.0, max_tokens=NUM_TOKENS, ignore_eos=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_t5(tmp_path_factory.mktemp("t5") / "t5.gguf")


@pytest.fixture(scope="module")
def client(model: Path, up_cluster: UpCluster) -> Iterator[cluster.Client]:
    with (
        up_cluster(str(model), "--devices", "CPU,CPU", "-c", "64", "-t", "1", "--parallel", "4") as home,
        cluster.connect(home.address, home.client_secret) as connected,
    ):
        yield connected


def greedy(model: Path, tokens: list[int], said: tuple[int, ...] = ()) -> list[int]:
    """What libllama says behind `said`."""
    reference, found = Reference(model), [START, *said]
    reference.encode(tokens)
    logits = [reference.decode([token]) for token in found][-1]
    for _ in range(NUM_TOKENS):
        found.append(int(np.argmax(logits)))
        logits = reference.decode(found[-1:])
    reference.close()
    return found[1 + len(said) :]


def test_text_is_what_libllama_says(client: cluster.Client, model: Path) -> None:
    for prompt in ("the cat sat", "a", "the dog, the cat.", "xyz" * 8):
        tokens = client.tokenize(prompt)
        assert tokens[-1] == EOS
        completion = client.generate(prompt, GREEDY)
        assert list(completion.token_ids) == greedy(model, tokens), prompt
        assert completion.text == client.detokenize(completion.token_ids)


def test_the_decoder_goes_on_with_what_it_is_given(client: cluster.Client, model: Path) -> None:
    tokens = client.tokenize("the cat sat")
    completion = client.generate([*tokens, START, 9, 12], GREEDY)
    assert list(completion.token_ids) == greedy(model, tokens, (9, 12))


def test_texts_are_said_beside_each_other(client: cluster.Client, model: Path) -> None:
    prompts = ["the cat", "sing", "a dog", "the dog sat"]
    found: dict[str, list[int]] = {}
    threads = [
        threading.Thread(target=lambda text=text: found.update({text: list(client.generate(text, GREEDY).token_ids)}))
        for text in prompts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {text: greedy(model, client.tokenize(text)) for text in prompts}
    assert (client.status().num_slots, len(client.status().stages)) == (4, 2)


def test_what_an_encoder_does_not_give_is_refused(client: cluster.Client) -> None:
    with pytest.raises(UsageError, match="an encoder, which predicts no token of the prompt"):
        client.logits([5, 6])
    with pytest.raises(UsageError, match=r"nothing for the encoder of .* to read"):
        client.generate([START, 5], GREEDY)
    with pytest.raises(UnsupportedModelError, match=r"has an encoder and a decoder, and gives text only"):
        client.embed(["the cat"])
