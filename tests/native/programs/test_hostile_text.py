"""Files of language models that somebody changed: refused with an error of ours, or served; never a signal."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from cluster.api.errors import ModelFileError, UnsupportedModelError
from cluster.cutting.header import read_header
from cluster.cutting.programs.model import ProgramModel
from cluster.cutting.servable import check_servable
from cluster.messages.step import NO_ROWS, Microbatch, StepId
from cluster.planning.programs.text import text_options
from cluster.sources.resolve import resolve
from cluster.stage.models.text_program import TextSlice
from cluster.stage.spec import StageSpec
from ggml.core.devices import CPU
from ggml.core.errors import GgmlError
from ggml.gguf.ours import PROGRAM
from ggml.io.writing import write
from ggml.programs.encoding import encode
from ggml.programs.files import load_program
from ggml.programs.graph import KEY
from ggml.programs.slices.running import Slice
from ggml.tokenizers.reading import read_tokenizer
from protos import program_pb2 as pb
from tests.ggml.generation import models
from tests.ggml.programs.test_hostile import mutated
from tests.native.vocabularies import write_byte_pairs

NUM_SLOTS = 2


def batch(rows: int, draw: random.Random) -> Microbatch:
    half = rows // 2
    return Microbatch(
        id=StepId(1, 0, 0),
        tokens=np.array([draw.randrange(261) for _ in range(rows)], np.int32),
        positions=np.array([*range(half), *range(rows - half)], np.int32),
        slots=np.array([0] * half + [1] * (rows - half), np.int32),
        wants_logits=np.ones(rows, np.bool_),
        samples=NO_ROWS,
        returns_logits=NO_ROWS,
    )


def served(path: Path, draw: random.Random) -> bool:
    """Whether it gives logits for two slots."""
    model = check_servable(read_header(path))
    if not isinstance(model, ProgramModel) or model.text is None:
        return False
    program = load_program(path)
    units = Slice(model.part(0, model.num_layers), {**program.weights, **program.state.all()})
    options = text_options(model.graph, model.text, 16)
    source = resolve(str(path))
    spec = StageSpec(
        0, 1, "here", source, "", 0, model.num_layers, "CPU", 48, NUM_SLOTS, 16, 1, 1, None, options
    )  # fmt: skip
    made = TextSlice(spec, options, units, CPU, "").forward(batch(6, draw), None)
    assert made.shape == (6, model.text.vocab_size)
    return True


def numbers(message: Any, found: list[tuple[Any, str]]) -> list[tuple[Any, str]]:
    """Every number in a message and in those within it: extents, axes, values that are read, ranges."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                numbers(inner, found)
        elif not field.is_repeated and field.type in (field.TYPE_INT64, field.TYPE_UINT32, field.TYPE_UINT64):
            found.append((message, field.name))
    return found


def survive(count: int, seed: int, folder: Path) -> tuple[int, int]:
    """Files with other numbers in the graph, or other bytes: how many were refused, and how many served."""
    draw = random.Random(seed)
    path = folder / "language.ggp"
    program = models.program(1)
    tokenizer = read_tokenizer(str(write_byte_pairs(folder / "bytes.gguf", "gpt-2")))
    tensors, graph = {**program.weights, **program.state.all()}, encode(program.graph)
    refused = num_served = 0
    for number in range(count):
        changed = pb.Program.FromString(graph)
        places = numbers(changed, [])
        for _ in range(draw.choice((1, 1, 1, 2, 4))):
            message, name = draw.choice(places)
            near = getattr(message, name) + draw.choice((-1, 1))
            setattr(message, name, max(0, draw.choice((0, 1, 2, 3, near, draw.randrange(100), 1 << 30))))
        raw = mutated(graph, draw) if number % 4 == 0 else changed.SerializeToString()
        write(str(path), tensors, PROGRAM, {KEY: raw, **tokenizer})
        try:
            num_served += served(path, draw)
        except (ModelFileError, UnsupportedModelError, GgmlError, ValueError):
            refused += 1
    program.save(path, tokenizer=folder / "bytes.gguf")
    return refused, num_served


def test_unchanged_it_is_served(tmp_path: Path) -> None:
    refused, _ = survive(0, 0, tmp_path)
    assert served(tmp_path / "language.ggp", random.Random(0))
    assert not refused


def test_changed_files(tmp_path: Path) -> None:
    refused, num_served = survive(250, 1, tmp_path)
    assert refused > 60
    assert num_served > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_changed_files(seed: int, tmp_path: Path) -> None:
    survive(1000, 10 + seed, tmp_path)
