"""Texts from programs and modules: equal to torch's, to each other, and to what the cluster's sampler draws."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import ggml  # noqa: E402
from cluster.api.sampling import SamplingParams as ClusterParams  # noqa: E402
from cluster.stage.models.sampler import native_params  # noqa: E402
from ggml import SamplingParams  # noqa: E402
from ggml.generation.running import pieces  # noqa: E402
from tests.ggml.generation import models  # noqa: E402
from tests.ggml.generation.models import CONTEXT, VOCAB, Language, Module, greedy  # noqa: E402
from worker_native import Sampler  # noqa: E402

PROMPTS = [[5, 9, 200, 31, 8, 8, 17], [3], [77, 12, 64]]
GREEDY = SamplingParams(max_tokens=9, temperature=0.0)
DRAWN = SamplingParams(max_tokens=12, seed=7, temperature=1.5, repeat_penalty=1.3, presence_penalty=0.5, logprobs=3)


@cache
def program(batch: int) -> Any:
    return models.program(batch)


class Last(Module):
    """Logits of the last token that it is given, with an axis for it or without."""

    def __init__(self, batch: int, place: Any) -> None:
        super().__init__(batch)
        self.place = place

    def forward(self, input_ids: Any, cache_position: Any = None) -> Any:
        return super().forward(input_ids, cache_position)[:, self.place]


MODELS: dict[str, Any] = {
    "program of one text": lambda: program(1),
    "program of three texts": lambda: program(3),
    "program without a cache": lambda: program(0),
    "module with caches": lambda: Module(2).eval(),
    "module without a cache": lambda: Module().eval(),
    "module with caches, last logits": lambda: Last(2, slice(-1, None)).eval(),
    "module without a cache, last logits": lambda: Last(0, -1).eval(),
    "module without a cache, an axis of last logits": lambda: Last(0, slice(-1, None)).eval(),
}


@pytest.mark.parametrize("name", MODELS)
def test_greedy_texts_are_those_of_torch(name: str) -> None:
    model = Language().eval()
    found = ggml.generate(MODELS[name](), PROMPTS, GREEDY)
    assert [one.tokens for one in found] == [greedy(model, prompt, 9) for prompt in PROMPTS]
    assert {one.finish_reason for one in found} == {"length"}


@pytest.mark.parametrize("name", MODELS)
def test_batches_are_what_single_prompts_are(name: str) -> None:
    model = MODELS[name]()
    together = ggml.generate(model, PROMPTS, DRAWN)
    alone = [ggml.generate(model, [prompt], DRAWN)[0] for prompt in PROMPTS]
    assert [one.tokens for one in together] == [one.tokens for one in alone]
    np.testing.assert_allclose(
        np.concatenate([one.logprobs for one in together]), np.concatenate([one.logprobs for one in alone]), atol=1e-4
    )


def test_more_prompts_than_rows_each_with_its_own_parameters() -> None:
    params = [SamplingParams(max_tokens=count, seed=count, temperature=1.0) for count in (5, 2, 7, 1, 4)]
    prompts = [[3, 4], [9], [1, 2, 3, 4], [8], [200, 100]]
    found = ggml.generate(program(3), prompts, params)
    assert [len(one.tokens) for one in found] == [5, 2, 7, 1, 4]
    alone = [ggml.generate(program(1), [prompt], one)[0] for prompt, one in zip(prompts, params, strict=True)]
    assert [one.tokens for one in found] == [one.tokens for one in alone]


def test_draws_are_those_of_the_clusters_sampler() -> None:
    """Its own sampler, fed with torch's logits of the same text, draws the same tokens."""
    found = ggml.generate(program(1), PROMPTS[:1], DRAWN)[0]
    sampler = Sampler(vocab_size=VOCAB, n_slots=1, n_ctx=CONTEXT)
    given = {name: getattr(DRAWN, name) for name in SamplingParams.__slots__}
    text = list(PROMPTS[0])
    sampler.set(0, native_params(ClusterParams(**given)), len(text))
    sampler.keep(np.array(text, np.int32), np.arange(len(text), dtype=np.int32), np.zeros(len(text), np.int32))
    model = Language().eval()
    for token, logprob in zip(found.tokens, found.logprobs, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([text]))[:, -1].numpy()
        (drawn,) = sampler.sample(logits, [0], [0], [len(text) - 1])
        assert drawn.token == token
        assert drawn.logprob == pytest.approx(logprob, abs=1e-4)
        sampler.keep(np.array([token], np.int32), np.array([len(text)], np.int32), np.zeros(1, np.int32))
        text.append(token)


def test_seeds() -> None:
    def tokens(**changes: Any) -> list[int]:
        params = SamplingParams(max_tokens=20, temperature=2.0, top_k=0, **changes)
        return ggml.generate(program(1), [[1, 2]], params)[0].tokens

    assert tokens(seed=3) == tokens(seed=3)
    assert tokens(seed=3) != tokens(seed=4)
    assert tokens() != tokens()


def test_no_token_is_recorded_anew() -> None:
    fresh = models.program(1)
    ggml.generate(fresh, [[1] * 7], GREEDY)
    assert fresh.num_recordings == 3  # prompts in pieces of 4, 2 and 1; each token after them has the last shape
    ggml.generate(fresh, [[2] * 5, [3] * 6], GREEDY)
    assert fresh.num_recordings == 3


def test_pieces_are_powers_of_two() -> None:
    assert pieces(7, 512) == [4, 2, 1]
    assert pieces(1300, 512) == [512, 512, 256, 16, 4]
    assert pieces(5, 3) == [2, 2, 1]
    assert pieces(0, 8) == []


def test_streams_are_the_texts() -> None:
    events = list(ggml.generate_stream(program(3), PROMPTS, DRAWN))
    whole = ggml.generate(program(3), PROMPTS, DRAWN)
    for prompt, one in enumerate(whole):
        mine = [event for event in events if event.prompt == prompt]
        assert [event.token for event in mine] == one.tokens
        assert [event.finish_reason for event in mine] == [None] * 11 + ["length"]
        assert all(len(event.top) == 3 for event in mine)
    assert {event.prompt for event in events[:3]} == {1}  # the shortest prompt begins


def test_logits_processors_work_in_order_on_the_tokens_so_far() -> None:
    seen: list[list[int]] = []

    def only_even(tokens: Any, logits: Any) -> Any:
        seen.append(list(tokens))
        logits[1::2] = -np.inf
        return logits

    def no_repetition(tokens: Any, logits: Any) -> Any:
        logits[list(set(tokens))] = -np.inf
        return logits

    (found,) = ggml.generate(program(1), [[1, 2]], DRAWN, logits_processors=[only_even, no_repetition])
    assert all(token % 2 == 0 for token in found.tokens)
    assert len({1, 2, *found.tokens}) == 14
    assert seen == [[1, 2, *found.tokens[:count]] for count in range(12)]
    with pytest.raises(ggml.ArgumentError, match=r"a logits processor gave \(2,\) instead of \(261,\)"):
        ggml.generate(program(1), [[1]], DRAWN, logits_processors=[lambda tokens, logits: logits[:2]])
    with pytest.raises(ggml.ArgumentError, match="allow no draw"):
        ggml.generate(program(1), [[1]], DRAWN, logits_processors=[lambda tokens, logits: logits * np.nan])


def test_where_texts_end() -> None:
    whole = ggml.generate(program(1), [PROMPTS[0]], GREEDY)[0].tokens
    stop = SamplingParams(max_tokens=9, temperature=0.0, stop_token_ids=(whole[3],))
    (found,) = ggml.generate(program(1), [PROMPTS[0]], stop)
    assert found.tokens == whole[: whole.index(whole[3]) + 1]
    assert found.finish_reason == "stop"
    (full,) = ggml.generate(program(1), [[1] * 40], SamplingParams(max_tokens=None, temperature=0.0))
    assert (len(full.tokens), full.finish_reason) == (CONTEXT - 40, "context")
    (short,) = ggml.generate(program(1), [[1] * 3], SamplingParams(max_tokens=None, temperature=0.0), context_length=5)
    assert (len(short.tokens), short.finish_reason) == (2, "context")
    (none,) = ggml.generate(program(1), [[1]], SamplingParams(max_tokens=0))
    assert (none.tokens, none.text, none.finish_reason) == ([], "", "length")
    assert ggml.generate(program(1), [], GREEDY) == []


@pytest.mark.slow
def test_a_mixed_program_generates() -> None:
    """With an operation that ggml lacks in the middle, which changes nothing."""

    class Odd(Language):
        def forward(self, input_ids: Any, cache_position: Any = None) -> Any:
            return super().forward(input_ids, cache_position) + torch.special.airy_ai(torch.ones(())) * 0

    count = torch.export.Dim("count", min=1, max=CONTEXT)
    ids = torch.zeros((1, 3), dtype=torch.int64)
    shapes = ({1: count}, {0: count})
    exported = torch.export.export(Odd(1).eval(), (ids, torch.arange(3)), dynamic_shapes=shapes)
    mixed = ggml.export.lower(exported)
    assert isinstance(mixed, ggml.export.MixedProgram)
    found = ggml.generate(mixed, PROMPTS, GREEDY)
    assert [one.tokens for one in found] == [greedy(Language().eval(), prompt, 9) for prompt in PROMPTS]


@pytest.mark.parametrize(
    ("prompts", "options", "why"),
    [
        ("text", {}, "a list of prompts"),
        ([[]], {}, r"prompts\[0\] has no tokens"),
        ([[1], "text"], {}, r"prompts\[1\] is a string, which needs a tokenizer"),
        ([[1.5]], {}, "neither a string nor a list of token ids"),
        ([[[1]]], {}, "neither a string nor a list of token ids"),
        ([[1, [2]]], {}, "no list of token ids"),
        ([[-1]], {}, r"has the token -1"),
        ([[1] * 49], {}, r"prompts\[0\] has 49 tokens; the model takes 48"),
        ([[1]], {"context_length": 49}, "is 49; this model takes 1 to 48"),
        ([[1]], {"context_length": 0}, "is 0; this model takes 1 to 48"),
        ([[1]], {"context_length": 4.5}, "a whole number as context_length"),
        ([[1]], {"params": [GREEDY, GREEDY]}, "are 2 for 1 prompts"),
        ([[1]], {"params": [3]}, "SamplingParams"),
        ([[1]], {"params": SamplingParams(stop=("x",))}, "stop needs a tokenizer"),
        ([[1]], {"tokenizer": 3}, "the path of a GGUF file"),
    ],
)
def test_arguments_are_refused_at_once(prompts: Any, options: dict[str, Any], why: str) -> None:
    with pytest.raises((ggml.ArgumentError, ggml.DTypeError), match=why):
        ggml.generate_stream(program(1), prompts, **options)


def test_parameters_that_the_model_cannot_follow() -> None:
    with pytest.raises(ggml.ArgumentError, match="logit_bias"):
        ggml.generate(program(1), [[1]], SamplingParams(logit_bias=((VOCAB, 1.0),)))
    with pytest.raises(ggml.ArgumentError, match="dry_sequence_breakers"):
        ggml.generate(program(1), [[1]], SamplingParams(dry_multiplier=1.0))
    with pytest.raises(ggml.GgmlError, match="index"):
        ggml.generate(program(1), [[VOCAB]], GREEDY)


def test_models_that_take_something_else() -> None:
    with pytest.raises(ggml.DTypeError, match="a program or a module"):
        ggml.generate(lambda ids: ids, [[1]])
    plain = ggml.export.lower(torch.export.export(torch.nn.Linear(2, 2).eval(), (torch.ones(1, 2),)))
    with pytest.raises(ggml.ArgumentError, match="takes input of 2 axes; generation gives int64 token ids"):
        ggml.generate(plain, [[1]])

    class Odd(ggml.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cache = ggml.nn.KVCache(1, 1, 4, 4)

        def forward(self, input_ids: Any) -> Any:
            return input_ids

    with pytest.raises(ggml.ArgumentError, match="has a KVCache, but forward takes none of cache_position"):
        ggml.generate(Odd(), [[1]])
