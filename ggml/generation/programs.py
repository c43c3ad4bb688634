"""A program as generation calls it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.generation.forms import text_form
from ggml.ops.create.interop import from_numpy
from ggml.programs.graph import Input
from ggml.tensors.tensor import Tensor


class ProgramCall:
    """A ``Program`` or a ``MixedProgram``. Its first result are the logits."""

    def __init__(self, program: Any) -> None:
        self._program = program
        self._users: list[Input] = program.graph.users
        form = self._form = text_form(program.graph)
        self.keeps, self.num_rows, self.context_length = form.keeps, form.num_rows, form.context_length
        self.least_tokens, self.most_tokens = form.least_tokens, form.most_tokens

    def begin(self) -> None:
        self._program.reset()

    def __call__(self, tokens: NDArray[np.int64], positions: NDArray[np.int64]) -> Tensor:
        given = [self._given(one, tokens, positions) for one in self._users]
        found: Tensor = self._program.run(given)[0]
        return found

    def _given(self, one: Input, tokens: NDArray[np.int64], positions: NDArray[np.int64]) -> Any:
        return one.constant if one.spec is None else given_as(one, tokens, positions, one.name == self._form.ids)


def given_as(one: Input, tokens: NDArray[np.int64], positions: NDArray[np.int64], is_ids: bool) -> Tensor:
    """What an input of a program gets: the tokens [batch, tokens], or their positions [tokens] in the form it has."""
    assert one.spec is not None
    if is_ids:
        values = tokens
    elif len(one.spec.shape) == 1:
        values = positions
    else:
        values = np.tile(positions, (1 if one.spec.shape[0] == 1 else len(tokens), 1))
    return from_numpy(np.ascontiguousarray(values)).to(one.spec.dtype)
