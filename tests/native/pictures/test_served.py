"""A cluster that is given pictures: over all its wires it says what mtmd says of the whole model."""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import cluster
from cluster.api.errors import ContextOverflowError, UsageError
from cluster.api.prompt import Segment
from cluster.coordinator.service import CoordinatorService
from tests.fakes.tiny_families import TinyGemma3, TinyInternVL
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.fakes.tiny_projector import TinyProjector, png, png_of, write_projector
from tests.native.pictures.conftest import NUM_TOKENS, PICTURES, PROJECTOR, TEXTS, Seeing
from tests.native.pictures.whole import MARK, ask_mtmd
from tests.native.programs.serving import ServedProgram, served_program

pytestmark = pytest.mark.native

GREEDY = cluster.SamplingParams(temperature=0.0, max_tokens=NUM_TOKENS, ignore_eos=True, logprobs=0)
PROMPT = (Segment(TEXTS[0]), Segment("", picture=PICTURES[0]), Segment(TEXTS[1]), Segment("", picture=PICTURES[1]))
PROMPT = (*PROMPT, Segment(TEXTS[2]))
ROW_SHAPES = 2e-3  # in log probabilities, between chunks of other sizes: 3e-4 was seen, the keys being kept as F16


@pytest.fixture(scope="module")
def served(seeing: Seeing) -> Iterator[ServedProgram]:
    settings = {"ctx_size": 256, "parallel": 2, "mmproj": str(seeing.projector)}
    with served_program(seeing.model, 2, **settings) as found:
        yield found


def log_probability(logits: np.ndarray, token: int) -> float:
    wide = logits.astype(np.float64)
    return float(wide[token] - wide.max() - np.log(np.exp(wide - wide.max()).sum()))


def test_the_text_and_its_probabilities_are_those_of_mtmd(served: ServedProgram, seeing: Seeing) -> None:
    with served.client() as client:
        events = [event for event in client.stream(PROMPT, GREEDY) if event.token is not None]
    assert [event.token for event in events] == seeing.whole.tokens
    expected = [
        log_probability(logits, token) for logits, token in zip(seeing.whole.logits, seeing.whole.tokens, strict=True)
    ]
    # Bit for bit is what test_exact asks: here chunks go by what steps took, and those of mtmd are texts and pictures.
    assert [event.logprob for event in events] == pytest.approx(expected, abs=ROW_SHAPES)


def test_no_other_token_is_near(seeing: Seeing) -> None:
    """So that the tests here may ask for equal texts, whatever the chunks."""
    least, most = np.sort(seeing.whole.logits, axis=1)[:, -2:].T
    assert (most - least).min() > 4 * ROW_SHAPES


def test_the_same_pictures_are_not_computed_again_and_others_are(served: ServedProgram, seeing: Seeing) -> None:
    other = (*PROMPT[:3], Segment("", picture=png(seed=7)), PROMPT[4])
    with served.client() as client:
        client.generate(PROMPT, GREEDY)
        again = client.generate(PROMPT, GREEDY)
        changed = client.generate(other, GREEDY)
    assert again.token_ids == tuple(seeing.whole.tokens)
    assert again.timings.num_cached_tokens == again.timings.num_prompt_tokens - 1
    num_before = again.timings.num_prompt_tokens - PROJECTOR.num_rows
    assert PROJECTOR.num_rows < changed.timings.num_cached_tokens < num_before
    assert changed.token_ids != again.token_ids


def test_a_prompt_with_pictures_is_counted(served: ServedProgram) -> None:
    with served.client() as client:
        ids = client.tokenize(PROMPT)
        answered = client.generate(PROMPT, GREEDY)
    assert len(ids) == answered.timings.num_prompt_tokens
    assert sum(token < 0 for token in ids) == 2 * PROJECTOR.num_rows


def test_penalties_pass_rows_of_pictures_over(served: ServedProgram) -> None:
    """Token 0 stands nowhere, so that a penalty of all that was there leaves its logit alone."""
    bias = {0: 30.0}
    params = cluster.SamplingParams(
        temperature=0.0, max_tokens=1, ignore_eos=True, presence_penalty=2.0, repeat_last_n=-1, logit_bias=bias
    )
    with served.client() as client:
        assert client.generate(PROMPT, params).token_ids == (0,)


def test_a_chat_has_pictures_as_data_urls_bytes_and_paths(
    served: ServedProgram, seeing: Seeing, tmp_path: Path
) -> None:
    picture = PICTURES[0]
    (path := tmp_path / "picture.png").write_bytes(picture)
    url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    whole = ask_mtmd(seeing.model, seeing.projector, [picture], f"[user]see{MARK}what?[assistant]", 6, tmp_path)
    params = cluster.SamplingParams(temperature=0.0, max_tokens=6, ignore_eos=True)
    with served.client() as client:
        for part in (
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "image", "image": picture},
            {"type": "image", "image": path},
        ):
            content = [{"type": "text", "text": "see"}, part, {"type": "text", "text": "what?"}]
            answer = client.chat([{"role": "user", "content": content}], params)
            assert answer.content == client.detokenize(whole.tokens)
        with pytest.raises(UsageError, match=r"image_url\.url: 'http://.*fetches nothing"):
            away = {"type": "image_url", "image_url": {"url": "http://localhost/a.png"}}
            client.chat([{"role": "user", "content": [away]}], params)


def test_what_is_no_picture_is_refused_and_harms_no_other(served: ServedProgram, seeing: Seeing) -> None:
    bomb = png_of(16_000, 16_000, bytes(10))
    with served.client() as client:
        for picture, why in (
            (b"GARBAGE" * 9, "this is no whole PNG, JPEG or GIF"),
            (bomb, "16000 x 16000 pixels"),
            (png()[:90], "cannot be decoded"),
        ):
            with pytest.raises(UsageError, match=f"prompt: picture 0: .*{why}"):
                client.generate((Segment("a"), Segment("", picture=picture)), GREEDY)
        with pytest.raises(UsageError, match="a text and a picture"):
            client.generate((Segment("a", picture=png()),), GREEDY)
        with pytest.raises(UsageError, match="prompt_logprobs: rows of pictures have none"):
            client.generate(PROMPT, GREEDY, prompt_logprobs=0)
        with pytest.raises(ContextOverflowError):
            client.generate([Segment("", picture=png())] * 17, GREEDY)
        assert client.generate(PROMPT, GREEDY).token_ids == tuple(seeing.whole.tokens)


def test_the_end_of_the_process_that_decodes_ends_one_request_at_most(served: ServedProgram, seeing: Seeing) -> None:
    coordinator = served.coordinator
    assert isinstance(coordinator, CoordinatorService)
    encoder = coordinator._pictures._encoder
    assert encoder is not None
    assert encoder.pid is not None
    os.kill(encoder.pid, signal.SIGKILL)
    with served.client() as client:
        assert client.generate(PROMPT, GREEDY).token_ids == tuple(seeing.whole.tokens), "its pictures are kept"
        new = (Segment("", picture=png(seed=11)),)
        with pytest.raises(UsageError, match="lost with this one"):
            client.generate(new, GREEDY)
        assert len(client.generate(new, GREEDY).token_ids) == NUM_TOKENS


def test_without_the_file_pictures_are_refused(seeing: Seeing) -> None:
    with served_program(seeing.model, 1, ctx_size=128, parallel=1) as plain, plain.client() as client:
        with pytest.raises(UsageError, match="served without the part that reads pictures"):
            client.generate(PROMPT, GREEDY)
        assert len(client.generate("abc", GREEDY).token_ids) == NUM_TOKENS


def test_a_file_for_another_model_is_refused_before_anything_starts(tmp_path: Path) -> None:
    model = write_tiny(tmp_path / "m.gguf", TinyModel("llama"))
    other = write_projector(tmp_path / "p.gguf", TinyProjector(row_width=64))
    with pytest.raises(UsageError, match="its rows have 64 values"), served_program(model, 2, mmproj=str(other)):
        pass


def test_a_picture_whose_rows_see_each_other_is_served_and_found_again(tmp_path: Path) -> None:
    projector = TinyGemma3()
    model = write_tiny(tmp_path / "m.gguf", TinyModel("gemma3", window=8, period=2))
    mmproj = write_projector(tmp_path / "p.gguf", projector)
    whole = ask_mtmd(model, mmproj, PICTURES, MARK.join(TEXTS), NUM_TOKENS, tmp_path)
    settings = {"ctx_size": 256, "parallel": 2, "mmproj": str(mmproj)}
    refused = pytest.raises(UsageError, match=r"up to 16 rows, which see each other.*--ubatch-size 16 or more")
    with refused, served_program(model, 2, **settings, ubatch_size=15):
        pass
    with served_program(model, 2, **settings, ubatch_size=16) as served, served.client() as client:
        events = [event for event in client.stream(PROMPT, GREEDY) if event.token is not None]
        again = client.generate(PROMPT, GREEDY)
        ends = client.generate(PROMPT[:2], GREEDY)
    expected = [log_probability(one, token) for one, token in zip(whole.logits, whole.tokens, strict=True)]
    assert [event.token for event in events] == whole.tokens
    assert [event.logprob for event in events] == pytest.approx(expected, abs=ROW_SHAPES)
    assert again.token_ids == tuple(whole.tokens)
    assert again.timings.num_cached_tokens == again.timings.num_prompt_tokens - 1
    num_marks = ends.timings.num_prompt_tokens - ends.timings.num_cached_tokens
    assert num_marks >= 1, "the tokens behind the picture are computed again"


def test_a_picture_in_tiles_is_served_and_found_again(tmp_path: Path) -> None:
    projector = TinyInternVL()
    model = write_tiny(tmp_path / "m.gguf", TinyModel("llama"))
    mmproj = write_projector(tmp_path / "p.gguf", projector)
    pictures = (png(60, 34), png(20, 20, seed=1))
    whole = ask_mtmd(model, mmproj, pictures, MARK.join(TEXTS), NUM_TOKENS, tmp_path)
    prompt = (PROMPT[0], Segment("", picture=pictures[0]), PROMPT[2], Segment("", picture=pictures[1]), PROMPT[4])
    with served_program(model, 2, ctx_size=256, parallel=2, mmproj=str(mmproj)) as served, served.client() as client:
        first = client.generate(prompt, GREEDY)
        again = client.generate(prompt, GREEDY)
    assert first.token_ids == again.token_ids == tuple(whole.tokens)
    assert again.timings.num_cached_tokens == again.timings.num_prompt_tokens - 1
