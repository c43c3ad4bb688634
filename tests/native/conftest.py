"""Models and short ways to call a Slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import worker_native
from cluster.api.sampling import SamplingParams
from ggml.sampling.params import SAMPLER_NAMES
from tests.native.tiny_model import TinyModel, Type, write_model
from worker_native import Sampled, Sampler, SamplerParams, Slice


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.native)


MODELS = {
    "f32": TinyModel(),
    "q8_0": TinyModel(weight_type=Type.Q8_0),
    "q4_0": TinyModel(weight_type=Type.Q4_0),
    "q4_0 tied": TinyModel(weight_type=Type.Q4_0, tied=True),
}

ModelFiles = Callable[..., Path]


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    """(kind, layers) -> a file, written once."""
    folder = tmp_path_factory.mktemp("models")
    written: dict[tuple[str, tuple[int, int] | None], Path] = {}

    def write(kind: str = "q4_0", layers: tuple[int, int] | None = None) -> Path:
        key = (kind, layers)
        if key not in written:
            written[key] = write_model(folder / f"{len(written)}.gguf", MODELS[kind], layers)
        return written[key]

    return write


@pytest.fixture
def whole(model_file: ModelFiles) -> Iterator[SamplingSlice]:
    opened = SamplingSlice(str(model_file()), n_ctx=64, n_slots=3, n_batch=32, n_ubatch=32)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def no_log() -> Iterator[None]:
    yield
    worker_native.set_log(None)


Row = tuple[int, int, int, bool]  # token, position, slot, wants logits


def arrays(
    rows: list[Row],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    tokens, positions, slots, wants = zip(*rows, strict=True)
    return (
        np.array(tokens, np.int32),
        np.array(positions, np.int32),
        np.array(slots, np.int32),
        np.array(wants, np.bool_),
    )


def prompt(tokens: list[int], slot: int = 0, start: int = 0) -> list[Row]:
    """Rows of one sequence, logits wanted of all."""
    return [(token, start + i, slot, True) for i, token in enumerate(tokens)]


def run(slices: Sequence[Slice], rows: list[Row]) -> NDArray[np.float32]:
    """Send rows through all slices; the logits of the rows that want them."""
    batch = arrays(rows)
    hidden = None
    for part in slices:
        hidden = part.forward(*batch, hidden)
    assert hidden is None
    return slices[-1].logits([i for i, row in enumerate(rows) if row[3]])


class SamplingSlice(Slice):
    """A last slice with a sampler, which hears of its slots and rows as on a stage."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(path, **options)
        self.sampler = Sampler(vocab_size=self.vocab_size, n_slots=self.n_slots, n_ctx=self.n_ctx)
        self._rows: list[tuple[int, int]] = []  # (slot, position) of each row of the last forward
        self._places: dict[int, int] = {}  # where its logits are

    def forward(
        self,
        tokens: NDArray[np.int32],
        positions: NDArray[np.int32],
        slots: NDArray[np.int32],
        wants_logits: NDArray[np.bool_],
        hidden: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32] | None:
        found = super().forward(tokens, positions, slots, wants_logits, hidden)
        self.sampler.keep(tokens, positions, slots)
        self._rows = list(zip(slots.tolist(), positions.tolist(), strict=True))
        self._places = {row: place for place, row in enumerate(np.flatnonzero(wants_logits).tolist())}
        return found

    def prepare_slot(self, slot: int, source: int, length: int) -> None:
        super().prepare_slot(slot, source, length)
        self.sampler.prepare_slot(slot, source, length)

    def sample(self, rows: list[int]) -> list[Sampled]:
        """A token for each of these rows of the last forward."""
        slots, positions = [[self._rows[row][i] for row in rows] for i in (0, 1)]
        return self.sampler.sample(self.wanted_logits(), [self._places[row] for row in rows], slots, positions)


def sampler(**changes: Any) -> SamplerParams:
    """Plain sampling at temperature 1, with changes."""
    plain = SamplingParams(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, seed=0)
    return SamplerParams(**({name: getattr(plain, name) for name in SAMPLER_NAMES} | changes))
