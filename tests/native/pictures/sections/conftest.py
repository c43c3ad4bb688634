"""Each family, once for all tests of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

import worker_native
from cluster.pictures.encoder import PictureEncoder
from cluster.pictures.projector import open_projector
from tests.native.pictures.chain import sliced
from tests.native.pictures.sections.families import FAMILIES, NUM_TOKENS, PICTURES, TEXTS, Seen, prompt_of
from tests.native.pictures.whole import MARK, ask_mtmd


@pytest.fixture(scope="package")
def see(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Seen]:
    """What mtmd says of a family, by its name."""

    @cache
    def see(name: str) -> Seen:
        folder = tmp_path_factory.mktemp("seen")
        model, projector = FAMILIES[name].write(folder)
        whole = ask_mtmd(model, projector, PICTURES, MARK.join(TEXTS), NUM_TOKENS, folder)
        with closing(PictureEncoder(open_projector(str(projector)), model, 1)) as encoder:
            return Seen(model, projector, whole, *prompt_of(model, encoder))

    return see


@pytest.fixture(scope="package", params=["qwen2.5", "qwen3"])
def seen(request: pytest.FixtureRequest, see: Callable[[str], Seen]) -> Seen:
    """One whose layers take rows as they are, and one whose first layers add more to them."""
    return see(request.param)


@pytest.fixture(params=[(), (1, 3)], ids=["whole", "three"])
def slices(request: pytest.FixtureRequest, seen: Seen, tmp_path: Path) -> Iterator[list[worker_native.Slice]]:
    with sliced(seen.model, request.param, tmp_path) as found:
        yield found
