"""The next token of several texts in one call, beside each text alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import torch

import ggml
from ggml.programs.passes.matching import Values
from ggml.programs.slices.part import part
from ggml.programs.slices.running import Slice
from ggml.programs.states import RowStates
from tests.ggml.generation import models
from tests.ggml.generation.models import CONTEXT, HEADS, VOCAB, WIDTH

NUM_ROWS = 4


class Counted(torch.nn.Module):
    """Attention written out, over a cache; positions go from the first one on, as in models of transformers."""

    def __init__(self, last: Any = None) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.tokens, self.places = torch.nn.Embedding(VOCAB, WIDTH), torch.nn.Embedding(CONTEXT, WIDTH)
        self.parts = torch.nn.ModuleList([torch.nn.Linear(WIDTH, WIDTH) for _ in range(4)])
        self.head, self.last = torch.nn.Linear(WIDTH, VOCAB), last
        for name in ("keys", "values"):
            self.register_buffer(name, torch.zeros(1, HEADS, CONTEXT, WIDTH // HEADS))
        for weight in self.parameters():
            torch.nn.init.normal_(weight, std=0.3)

    def forward(self, input_ids: Any, cache_position: Any) -> Any:
        places = torch.arange(input_ids.shape[1]) + cache_position[0]
        x = self.tokens(input_ids) + self.places(places)
        query, key, value = (
            part(x).reshape(1, x.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2) for part in self.parts[:3]
        )
        key, value = self.keys.index_copy_(2, places, key), self.values.index_copy_(2, places, value)
        weights = query @ key.transpose(2, 3) / 3.0
        weights = weights.masked_fill(torch.arange(CONTEXT)[None, :] > places[:, None], -1e9).softmax(-1)
        x = x + self.parts[3]((weights @ value).transpose(1, 2).reshape(x.shape))
        return self.head(x if self.last is None else x[:, self.last])


def counted(last: Any = None) -> Any:
    count = torch.export.Dim("count", min=1, max=CONTEXT)
    given = (torch.zeros((1, 3), dtype=torch.int64), torch.arange(3))
    exported = torch.export.export(Counted(last).eval(), given, dynamic_shapes=({1: count}, {0: count}))
    return ggml.export.lower(exported, require="ggml")


PROGRAMS = {
    "fused attention": lambda: models.program(1),
    "attention written out": counted,
    "the last token's logits": lambda: counted(-1),
    "an axis of the last token's logits": lambda: counted([-1]),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_rows_are_what_each_text_gets_alone(name: str) -> None:
    program = PROGRAMS[name]()
    whole = Slice(part(program.graph, (), 0, 1), {**program.weights, **program.state.all()})
    together = whole.joint(("count",), ("cache_position",), CONTEXT, NUM_ROWS)
    assert together is not None
    # Weights are read by one operation for all rows; attention is there for each.
    products = [node.op for node in together.graph.nodes].count("aten.linear.default")
    assert products == [node.op for node in whole.graph.nodes].count("aten.linear.default") or "last" in name
    alone, joined = ([whole.new_states() for _ in range(NUM_ROWS)] for _ in range(2))
    rng = np.random.default_rng(0)

    def ask(units: Slice, states: Any, ids: Any, positions: Any, symbols: tuple[int, ...]) -> Any:
        units.states = states
        given = {"input_ids": ggml.tensor(ids), "cache_position": ggml.tensor(positions)}
        return units(given, symbols)["output"].numpy().reshape(-1, VOCAB)

    lengths = np.array([5, 1, 9, 2])
    for row, length in enumerate(lengths):
        ids = rng.integers(0, VOCAB, (1, length))
        for states in (alone, joined):
            ask(whole, states[row], ids, np.arange(length), (int(length),))
    for _ in range(3):
        ids = rng.integers(0, VOCAB, (1, NUM_ROWS))
        made = ask(together, RowStates(joined), ids, lengths, ())
        wanted = [ask(whole, alone[row], ids[:, [row]], lengths[[row]], (1,)) for row in range(NUM_ROWS)]
        np.testing.assert_allclose(made, np.concatenate(wanted), rtol=0, atol=1e-4)
        lengths += 1
    values = Values(together.graph)
    assert all(values.num_readers[value] for value, one in enumerate(together.graph.inputs) if "#" in one.name)


def test_a_program_of_fixed_extents_has_no_rows() -> None:
    ids = (torch.zeros((1, 1), dtype=torch.int64), torch.arange(1))
    program = ggml.export.lower(torch.export.export(Counted().eval(), ids), require="ggml")
    whole = Slice(part(program.graph, (), 0, 1), {**program.weights, **program.state.all()})
    assert whole.joint((), ("cache_position",), CONTEXT, 2) is None
