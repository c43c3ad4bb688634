"""A cluster that is given pictures of lines and columns: over its wires it says what mtmd says of the whole model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import cluster
from cluster.api.prompt import Segment
from cluster.coordinator.service import CoordinatorService
from tests.fakes.tiny_projector import png
from tests.native.pictures.sections.families import GRIDS, NUM_TOKENS, PICTURES, TEXTS, Seen
from tests.native.programs.serving import ServedProgram, served_program

pytestmark = pytest.mark.native

GREEDY = cluster.SamplingParams(temperature=0.0, max_tokens=NUM_TOKENS, ignore_eos=True, logprobs=0)
SEEN = (Segment("", picture=PICTURES[0]), Segment("", picture=PICTURES[1]))
PROMPT = (Segment(TEXTS[0]), SEEN[0], Segment(TEXTS[1]), SEEN[1], Segment(TEXTS[2]))
ROW_SHAPES = 2e-3  # in log probabilities, between chunks of other sizes


@pytest.fixture(scope="module", params=[pytest.param("qwen2.5", marks=pytest.mark.slow), "qwen3"])
def seen(request: pytest.FixtureRequest, see: Callable[[str], Seen]) -> Seen:
    return see(request.param)


@pytest.fixture(scope="module")
def served(seen: Seen) -> Iterator[ServedProgram]:
    """Of three stages, so that the second is within the layers that add more of a picture, where there are some."""
    settings = {"ctx_size": 256, "parallel": 2, "mmproj": str(seen.projector)}
    with served_program(seen.model, 3, **settings) as found:
        yield found


def log_probability(logits: np.ndarray, token: int) -> float:
    wide = logits.astype(np.float64)
    return float(wide[token] - wide.max() - np.log(np.exp(wide - wide.max()).sum()))


def test_no_other_token_is_near(seen: Seen) -> None:
    """So that the tests here may ask for equal texts, whatever the chunks."""
    least, most = np.sort(seen.whole.logits, axis=1)[:, -2:].T
    assert (most - least).min() > 4 * ROW_SHAPES


def test_the_text_and_its_probabilities_are_those_of_mtmd(served: ServedProgram, seen: Seen) -> None:
    with served.client() as client:
        events = [event for event in client.stream(PROMPT, GREEDY) if event.token is not None]
    assert [event.token for event in events] == seen.whole.tokens
    expected = [
        log_probability(logits, token) for logits, token in zip(seen.whole.logits, seen.whole.tokens, strict=True)
    ]
    assert [event.logprob for event in events] == pytest.approx(expected, abs=ROW_SHAPES)


def test_the_same_pictures_are_not_computed_again_and_others_are(served: ServedProgram, seen: Seen) -> None:
    other = (*PROMPT[:3], Segment("", picture=png(24, 64, seed=7)), PROMPT[4])
    with served.client() as client:
        client.generate(PROMPT, GREEDY)
        again = client.generate(PROMPT, GREEDY)
        changed = client.generate(other, GREEDY)
    assert again.token_ids == tuple(seen.whole.tokens)
    assert again.timings.num_cached_tokens == again.timings.num_prompt_tokens - 1
    num_rows = [width * height for width, height in GRIDS]
    assert num_rows[0] < changed.timings.num_cached_tokens < again.timings.num_prompt_tokens - num_rows[1]
    assert changed.logprobs != pytest.approx(again.logprobs, abs=ROW_SHAPES)


def test_requests_at_once_say_what_each_says_alone(served: ServedProgram, seen: Seen) -> None:
    other = (Segment("look"), SEEN[1], Segment(" and say"))
    with served.client() as client, ThreadPoolExecutor() as pool:
        alone = client.generate(other, GREEDY).token_ids
        answers = [pool.submit(client.generate, prompt, GREEDY) for prompt in (PROMPT, other) * 3]
        assert [answer.result().token_ids for answer in answers] == [tuple(seen.whole.tokens), alone] * 3


def test_a_chat_goes_on_behind_its_answer(served: ServedProgram, seen: Seen) -> None:
    """Tokens that were sampled behind pictures are found again where they stand in the next prompt."""
    with served.client() as client:
        client.generate(PROMPT, GREEDY)
        longer = (*PROMPT, Segment(client.detokenize(seen.whole.tokens[:4])), SEEN[1], Segment("?"))
        first = client.generate(longer, GREEDY)
        again = client.generate(longer, GREEDY)
    assert first.token_ids == again.token_ids
    assert first.timings.num_cached_tokens > sum(width * height for width, height in GRIDS)


def test_an_answer_goes_on_when_the_stages_are_wired_anew(served: ServedProgram, seen: Seen) -> None:
    coordinator = served.coordinator
    assert isinstance(coordinator, CoordinatorService)
    found = []
    with served.client() as client:
        for event in client.stream(PROMPT, GREEDY):
            if event.token is None:
                continue
            found.append(event.token)
            if len(found) == 2:
                coordinator.hold_recovery()  # which would wire them, too
                coordinator._pipeline._rewire()
    assert found == seen.whole.tokens


def test_a_picture_of_more_rows_than_a_microbatch_has(seen: Seen, tmp_path: Path) -> None:
    settings = {"ctx_size": 256, "parallel": 2, "ubatch_size": 8, "mmproj": str(seen.projector)}
    with served_program(seen.model, 2, **settings) as small, small.client() as client:
        assert client.generate(PROMPT, GREEDY).token_ids == tuple(seen.whole.tokens)
        assert client.generate(PROMPT, GREEDY).token_ids == tuple(seen.whole.tokens)
