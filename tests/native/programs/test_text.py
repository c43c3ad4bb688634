"""A language model that torch exported with its cache, served in slices: texts, slots, prefixes, grammars, errors."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import torch

import cluster
import ggml
from cluster.api.errors import UsageError
from tests.ggml.generation import models
from tests.native.programs.serving import ServedProgram, served_program
from tests.native.vocabularies import write_byte_pairs

PROMPT = [5, 17, 200, 3, 44, 90, 91]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("language")
    models.program(1).save(folder / "language.ggp", tokenizer=write_byte_pairs(folder / "bytes.gguf", "gpt-2"))
    return folder / "language.ggp"


@pytest.fixture(scope="module", params=[1, 2, 3])
def served(path: Path, cache: Path, request: pytest.FixtureRequest) -> Iterator[ServedProgram]:
    with served_program(path, request.param, parallel=4) as found:
        yield found


def alone(path: Path, prompt: Any, **params: Any) -> list[int]:
    """The same text by `ggml.generate`, in this process and uncut."""
    given = ggml.SamplingParams(**{"max_tokens": 12, "temperature": 0.0, **params})
    return list(ggml.generate(ggml.load_program(path), [prompt], given)[0].tokens)


def test_texts_are_those_of_the_whole_program(served: ServedProgram, path: Path) -> None:
    with served.client() as client:
        found = client.generate(PROMPT, max_tokens=12, temperature=0.0)
        assert list(found.token_ids) == alone(path, PROMPT)
        drawn = client.generate(PROMPT, max_tokens=12, temperature=1.5, seed=3)
        assert list(drawn.token_ids) == alone(path, PROMPT, temperature=1.5, seed=3)
        text = client.generate("the end", max_tokens=12, temperature=0.0)
        assert list(text.token_ids) == alone(path, "the end")
        assert client.tokenize("the end", add_special=False) == [257, *client.tokenize(" end", add_special=False)]


def test_slots_are_texts_of_their_own(served: ServedProgram, path: Path) -> None:
    prompts = [[seed, seed + 1, *PROMPT[: seed % 5]] for seed in range(12)]
    with served.client() as client, ThreadPoolExecutor(len(prompts)) as threads:
        found = list(threads.map(lambda one: client.generate(one, max_tokens=9, temperature=0.0), prompts))
    assert [list(one.token_ids) for one in found] == [alone(path, one, max_tokens=9) for one in prompts]
    assert served.joins() == {True}


def test_a_prefix_that_a_slot_holds_is_not_computed_again(served: ServedProgram, path: Path) -> None:
    long = [*range(100, 120)]
    with served.client() as client:
        for tail, num_cached in (([], 0), ([7, 8], 20), ([9], 20), ([], 19)):
            prompt = [*long, *tail]
            found = client.generate(prompt, max_tokens=6, temperature=0.0)
            assert list(found.token_ids) == alone(path, prompt, max_tokens=6), tail
            assert found.timings.num_cached_tokens == num_cached
        streams = [client.stream([*long, place], max_tokens=8, temperature=0.0) for place in range(4)]
        texts = [[event.token for event in stream] for stream in streams]
    assert texts == [alone(path, [*long, place], max_tokens=8) for place in range(4)]


def test_logits_of_every_token(served: ServedProgram, path: Path) -> None:
    program = ggml.load_program(path)
    wanted = [program(np.array([[token]]), np.array([place])).numpy()[0, 0] for place, token in enumerate(PROMPT)]
    with served.client() as client:
        found = client.logits(PROMPT)
        assert client.model().vocab_size == 261
    assert np.allclose(found, np.array(wanted), rtol=0, atol=1e-4 * np.abs(wanted).max())


def test_a_grammar_is_followed(served: ServedProgram) -> None:
    with served.client() as client:
        found = client.generate("a", max_tokens=20, temperature=1.0, seed=1, grammar='start: "the " /[0-9]{3}/')
    assert found.text.startswith("the ")
    assert found.text[4:].isdigit()


def test_status_and_model(served: ServedProgram) -> None:
    with served.client() as client:
        status = client.status()
        assert (status.context_length, status.num_slots, status.vocab_size) == (48, 4, 261)
        assert not status.is_program
        # Two layers of keys and values [1, 4, 48, 8] in each of four slots.
        assert sum(stage.kv_bytes for stage in status.stages) == 2 * 2 * 4 * 48 * 8 * 4 * 4
        assert client.model().architecture == "ggml-program"


def test_what_does_not_fit_is_told(served: ServedProgram) -> None:
    with served.client() as client:
        with pytest.raises(UsageError, match="48"):
            client.generate([1] * 60, max_tokens=4)
        with pytest.raises(UsageError, match="vocabulary"):
            client.generate([300], max_tokens=4)
        full = client.generate([1] * 40, max_tokens=100, temperature=0.0, ignore_eos=True)
        assert full.finish_reason == "context"
        with pytest.raises(cluster.UnsupportedModelError, match="is no program"):
            client.run(x=np.zeros(3, np.float32))


class Running(torch.nn.Module):
    """What it knows of the tokens before are sums, which nothing takes back. It gives logits of all tokens, or those of
    the `last` one, with an axis for it or without."""

    def __init__(self, last: Any, num_rows: int = 261) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.tokens, self.last = torch.nn.Embedding(num_rows, 16), last
        self.mixes = torch.nn.ModuleList([torch.nn.Linear(16, 16) for _ in range(3)])
        for place in range(3):
            self.register_buffer(f"sums_{place}", torch.zeros(1, 16))
        self.head = torch.nn.Linear(16, 261)

    def forward(self, input_ids: Any) -> Any:
        x = self.tokens(input_ids)
        for place, mix in enumerate(self.mixes):
            sums = getattr(self, f"sums_{place}")
            seen = torch.cumsum(torch.tanh(mix(x)), 1) + sums[:, None]
            sums.copy_(seen[:, -1])
            x = x + torch.tanh(seen)
        return self.head(x if self.last is None else x[:, self.last])


def written(model: torch.nn.Module, folder: Path) -> Path:
    count = torch.export.Dim("count", min=1, max=64)
    ids = torch.zeros((1, 3), dtype=torch.int64)
    exported = torch.export.export(model.eval(), (ids,), dynamic_shapes=({1: count},))
    program = ggml.export.lower(exported, require="ggml")
    program.save(folder / "running.ggp", tokenizer=write_byte_pairs(folder / "bytes.gguf", "gpt-2"))
    return folder / "running.ggp"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(None, id="all"),
        pytest.param(-1, id="last", marks=pytest.mark.slow),
        pytest.param([-1], id="last of an axis", marks=pytest.mark.slow),
    ],
)
def running(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    return written(Running(request.param), tmp_path_factory.mktemp("running"))


def test_texts_of_a_program_with_running_states(running: Path, cache: Path) -> None:
    program = ggml.load_program(running)

    def whole(prompt: list[int]) -> list[int]:
        given = ggml.SamplingParams(max_tokens=7, temperature=0.0)
        return list(ggml.generate(program, [prompt], given, context_length=64)[0].tokens)

    unknown = "ctx-size: the program does not tell how many tokens its buffers hold"
    with pytest.raises(UsageError, match=unknown), served_program(running, 2):
        pass
    long = [*range(50, 70)]
    prompts = [long, long, [*long, 3], long[:18], *([place] * 3 for place in range(9))]
    with served_program(running, 3, parallel=2, ctx_size=64) as found, found.client() as client:
        for prompt in prompts:
            assert list(client.generate(prompt, max_tokens=7, temperature=0.0).token_ids) == whole(prompt)
        streams = [client.stream(prompt, max_tokens=7, temperature=0.0) for prompt in prompts]
        assert [[event.token for event in stream] for stream in streams] == [whole(prompt) for prompt in prompts]
        assert False in found.joins(), "sums look from one row at another"
        scored = client.generate(long, max_tokens=1, temperature=0.0, prompt_logprobs=1)
        assert len(scored.prompt_logprobs) == len(long)


def test_a_token_that_the_program_has_no_row_for_harms_nobody_else(tmp_path: Path, cache: Path) -> None:
    path = written(Running(None, num_rows=259), tmp_path)
    asked: Any = {"max_tokens": 6, "temperature": 0.0, "logit_bias": [(token, -np.inf) for token in (259, 260)]}
    program, params = ggml.load_program(path), ggml.SamplingParams(**asked)

    def ask(client: cluster.Client, prompt: list[int]) -> list[int] | str:
        try:
            return list(client.generate(prompt, **asked).token_ids)
        except UsageError as error:
            return str(error)

    prompts = [[5, 6, 260] if place % 3 == 1 else [place, 7, 8, 9] for place in range(24)]
    with served_program(path, 2, parallel=6, ctx_size=64) as found, found.client() as client:
        with ThreadPoolExecutor(len(prompts)) as threads:
            answers = list(threads.map(lambda prompt: ask(client, prompt), prompts))
        assert client.status().epoch == 1
    for prompt, answer in zip(prompts, answers, strict=True):
        if 260 in prompt:
            assert "index 260 is out of bounds for size 259" in str(answer)
        else:
            assert answer == list(ggml.generate(program, [prompt], params, context_length=64)[0].tokens)


def test_what_is_in_the_way_of_texts_is_told(tmp_path: Path, cache: Path) -> None:
    def refused(program: Any, why: str, **given: Any) -> None:
        program.save(tmp_path / "refused.ggp", **given)
        with pytest.raises(UsageError, match=why), served_program(tmp_path / "refused.ggp", 1):
            pass

    vocabulary = write_byte_pairs(tmp_path / "bytes.gguf", "gpt-2")
    refused(models.program(1), "it has no tokenizer: save it with one")
    refused(models.program(3), "export it with a batch of 1", tokenizer=vocabulary)
    large = write_byte_pairs(tmp_path / "large.gguf", "gpt-2", more_names=["<a>"], more_types=[3])
    refused(models.program(1), "it gives 261 logits, and its tokenizer has 262 tokens", tokenizer=large)
    models.program(1).save(tmp_path / "fits.ggp", tokenizer=vocabulary)
    more = "ctx-size: 49 is more than the 48 tokens that the program's buffers hold"
    with pytest.raises(UsageError, match=more), served_program(tmp_path / "fits.ggp", 1, ctx_size=49):
        pass
