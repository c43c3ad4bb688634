"""Models and short ways to call a Slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import worker_native
from tests.native.tiny_model import TinyModel, Type, write_model
from worker_native import SamplerParams, Slice


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
def whole(model_file: ModelFiles) -> Iterator[Slice]:
    opened = Slice(str(model_file()), n_ctx=64, n_slots=3, n_batch=32, n_ubatch=32)
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


def run(slices: list[Slice], rows: list[Row]) -> NDArray[np.float32]:
    """Send rows through all slices; the logits of the rows that want them."""
    batch = arrays(rows)
    hidden = None
    for part in slices:
        hidden = part.forward(*batch, hidden)
    assert hidden is None
    return slices[-1].logits([i for i, row in enumerate(rows) if row[3]])


def sampler(**changes: float) -> SamplerParams:
    """Plain sampling at temperature 1, with changes."""
    values: dict[str, float] = {
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "seed": 0,
        "repeat_penalty": 1.0,
        "repeat_last_n": 64,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "logprobs": 0,
    }
    return SamplerParams(**(values | changes))  # type: ignore[arg-type]
