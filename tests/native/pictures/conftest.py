"""One tiny model that takes pictures, and what mtmd makes of a prompt for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

import worker_native
from cluster.messages.pictures import PicturedPrompt
from cluster.pictures.encoder import EncodedPicture, PictureEncoder, joined
from cluster.pictures.projector import open_projector
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.fakes.tiny_projector import TinyProjector, png, write_projector
from tests.native.pictures.whole import MARK, Whole, ask_mtmd

NUM_TOKENS = 12
TEXTS = ("what is on this", " and on that", " say it in a few words")
PICTURES = (png(), png(24, 64, seed=1))
PROJECTOR = TinyProjector()


@dataclass(frozen=True, slots=True)
class Seeing:
    """The files of a model that takes pictures, and what mtmd says of TEXTS with PICTURES between them."""

    model: Path
    projector: Path
    whole: Whole


@pytest.fixture(scope="session")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Seeing:
    folder = tmp_path_factory.mktemp("seeing")
    template = (
        "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    model = write_tiny(folder / "model.gguf", TinyModel("llama", chat_template=template))
    projector = write_projector(folder / "mmproj.gguf", PROJECTOR)
    whole = ask_mtmd(model, projector, PICTURES, MARK.join(TEXTS), NUM_TOKENS, folder)
    return Seeing(model, projector, whole)


@pytest.fixture(scope="session")
def encoder(seeing: Seeing) -> Iterator[PictureEncoder]:
    with closing(PictureEncoder(open_projector(str(seeing.projector)), seeing.model, 1)) as opened:
        yield opened


def prompt_of(model: Path, encoder: PictureEncoder, texts: Sequence[str], pictures: Sequence[bytes]) -> PicturedPrompt:
    """The texts with a picture between each two, as mtmd tokenises them."""
    vocab = worker_native.Vocab(str(model))
    pieces: list[list[int] | EncodedPicture] = [[vocab.bos]]
    for place, text in enumerate(texts):
        pieces.append(vocab.tokenize(text, add_special=False).tolist())
        if place < len(pictures):
            pieces.append(encoder.encode(pictures[place], "picture"))
    return joined(pieces)
