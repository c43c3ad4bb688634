"""Each family of pictures: rows are those of mtmd, and logits, over slices, those of mtmd on the whole model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cluster.messages.pictures import PicturedPrompt
from cluster.pictures.encoder import PictureEncoder
from cluster.pictures.parts import PartRows
from cluster.pictures.projector import open_projector
from tests.fakes.tiny_families import (
    TinyGemma3,
    TinyGemma4,
    TinyIdefics3,
    TinyInternVL,
    TinyKimiVL,
    TinyLightOnOcr,
    TinyLlama4,
    TinyMiniCPMV,
    TinyPixtral,
)
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.fakes.tiny_projector import TinyProjector, png, write_projector
from tests.native.pictures.chain import CUT_NAMES, CUTS, answered, read, sliced
from tests.native.pictures.conftest import prompt_of
from tests.native.pictures.speaking import write_speaking
from tests.native.pictures.whole import MARK, Whole, ask_mtmd

pytestmark = pytest.mark.native

NUM_TOKENS = 4
TEXTS = ("what is on this", " and on that", " say it in a few words")
PICTURES = (png(60, 34), png(20, 20, seed=1))
WORDS = TinyModel().vocabulary
# What stands around pictures and tiles: mtmd looks some of it up, and tokenises the rest.
MARKS = ("<fake_token_around_image>", "<global-img>", "<row_1_col_1>", "<row_1_col_2>", "<image>", "</image>")
MARKS = (
    *MARKS,
    "<slice>",
    "</slice>",
    "<start_of_image>",
    "<end_of_image>",
    "<|image>",
    "<image|>",
    "<img>",
    "</img>",
    "[IMG_END]",
)
TOKENS = (*WORDS, ("\n\n", 4), *((mark, 3) for mark in MARKS))
LLAMA = TinyModel("llama", tokens=TOKENS)


@dataclass(frozen=True)
class Family:
    """A projector, a model that rows of its pictures are given to, and how many pieces of rows each picture is."""

    projector: TinyProjector
    num_pieces: tuple[int, int] = (1, 1)
    model: TinyModel | str = LLAMA  # or the name of a description
    has_no_order: bool = False  # rows of a picture see each other

    def write_model(self, path: Path) -> Path:
        if isinstance(self.model, str):
            return write_speaking(path, self.model, TOKENS)
        return write_tiny(path, self.model)


FAMILIES = {
    "gemma3": Family(TinyGemma3(), model=TinyModel("gemma3", window=8, period=2), has_no_order=True),
    "gemma4": Family(TinyGemma4(row_width=128), model="gemma4-dense", has_no_order=True),
    "pixtral": Family(TinyPixtral()),
    "lightonocr": Family(TinyLightOnOcr()),
    "kimivl": Family(TinyKimiVL()),
    "internvl": Family(TinyInternVL(), (5, 1)),
    "idefics3": Family(TinyIdefics3(), (5, 5)),
    "llama4": Family(TinyLlama4(), (5, 1)),
    "minicpmv": Family(TinyMiniCPMV(image_size=32), (3, 1)),
}


@dataclass(frozen=True)
class Case:
    """A family, written and asked."""

    family: Family
    model: Path
    prompt: PicturedPrompt
    rows: np.ndarray
    whole: Whole


@pytest.fixture(scope="module", params=FAMILIES.values(), ids=FAMILIES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    family, folder = request.param, tmp_path_factory.mktemp("family")
    model = family.write_model(folder / "model.gguf")
    projector = write_projector(folder / "mmproj.gguf", family.projector)
    whole = ask_mtmd(model, projector, PICTURES, MARK.join(TEXTS), NUM_TOKENS, folder)
    with closing(PictureEncoder(open_projector(str(projector)), model, 1)) as encoder:
        prompt = prompt_of(model, encoder, TEXTS, PICTURES)
        parts = [encoder.encode(picture, "picture").parts for picture in PICTURES]
    assert tuple(sum(isinstance(part, PartRows) for part in found) for found in parts) == family.num_pieces
    yield Case(family, model, prompt, np.concatenate([one.rows for one in prompt.pictures]), whole)


def test_rows_are_those_of_mtmd(case: Case) -> None:
    assert np.array_equal(case.rows, case.whole.rows)
    assert {one.non_causal for one in case.prompt.pictures} == {case.family.has_no_order}
    assert len(set(case.prompt.token_ids)) > len(case.rows), "each row has a stand-in of its own"


@pytest.mark.parametrize("cuts", CUTS, ids=CUT_NAMES)
def test_logits_are_those_of_mtmd_on_the_whole_model(case: Case, cuts: tuple[int, ...], tmp_path: Path) -> None:
    with sliced(case.model, cuts, tmp_path) as stages:
        found = answered(stages, case.prompt, case.whole.tokens, 1)
        assert np.array_equal(found, case.whole.logits)
        if case.family.has_no_order:
            assert not np.array_equal(read(stages, case.prompt, 0, causal_only=True), found[0])
