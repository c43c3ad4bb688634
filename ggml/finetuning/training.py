"""The run: one step after the other, each a function of where the run stands and of the step's number."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ggml.core import grad_mode
from ggml.core.errors import ArgumentError
from ggml.finetuning.adapter import add_lora, save_adapter
from ggml.finetuning.batches import Batches, num_targets, padded
from ggml.finetuning.decoder import Decoder, load_decoder
from ggml.finetuning.objective import Objective, mean
from ggml.finetuning.settings import Settings
from ggml.finetuning.state import begin, give_back, kept, load_state, parameters_of, save_state
from ggml.finetuning.texts import Example, Texts
from ggml.io.mapped import open_header
from ggml.ops.create.factories import tensor
from ggml.ops.create.random import default_generator
from ggml.optim.adam import AdamW
from ggml.training.step import compile_step


@dataclass(frozen=True, slots=True)
class Done:
    """One step: its number from 1 on, the mean loss of the targets in nats before it, and what it went through."""

    step: int
    loss: float
    rate: float
    num_tokens: int


class Run:
    """A model, what it learns from, and where it stands. ``step()`` goes on; ``step_count`` steps are done."""

    def __init__(self, model: str, data: str, settings: Settings) -> None:
        """FileFormatError, ArgumentError or OSError, in one line, for what cannot be trained."""
        self.settings, self.step_count = settings, 0
        self.decoder = load_decoder(model)
        longest = self.decoder.shape.context_length
        if settings.sequence_length > longest:
            why = f"{settings.sequence_length} is more than the model's context of {longest}; give at most that"
            raise ArgumentError("finetune", "--sequence-length", why)
        self.batches = Batches(Texts(model, settings.sequence_length).read(data), settings.batch_size, settings.seed)
        self.num_steps = settings.num_steps(len(self.batches))
        default_generator.manual_seed(settings.seed)
        layers = add_lora(self.decoder, settings.rank, settings.alpha, settings.targets, settings.dropout)
        self._params = parameters_of(layers)
        self._optimizer = AdamW(list(self._params.values()), lr=settings.learning_rate, weight_decay=0.0)
        begin(self._params, self._optimizer)
        self._train = compile_step(Objective(self.decoder), mean, self._optimizer, max_norm=settings.max_norm)
        # Beside what a person gives: the data and the model, so that a checkpoint is never taken for that of others.
        self._identity: dict[str, Any] = {
            **settings.as_dict(), "steps": self.num_steps, "data": self.batches.digest(), "model": _digest(model),
        }  # fmt: skip

    def step(self) -> Done:
        """Learn from the next examples. ArgumentError, before anything is changed, where the loss is no number."""
        chosen = self.batches.chosen(self.step_count)
        rate = self.settings.rate(self.step_count, self.num_steps)
        self._optimizer.param_groups[0]["lr"] = rate
        self.decoder.train()
        if self.settings.dropout:  # the numbers of a run that stopped and went on are those of one that did not
            drawn = np.random.SeedSequence([self.settings.seed, self.step_count]).generate_state(1, np.uint64)
            default_generator.manual_seed(int(drawn[0]))
        before = kept(self._params, self._optimizer)
        value = self._train(*padded(chosen), tensor(1 / max(num_targets(chosen), 1))).item()
        if not math.isfinite(value):
            give_back(self._params, self._optimizer, before)
            why = f"the loss is {value} at step {self.step_count + 1}; give a smaller one, and begin anew"
            raise ArgumentError("finetune", "--learning-rate", why)
        self.step_count += 1
        return Done(self.step_count, value, rate, sum(len(one.tokens) for one in chosen))

    def save(self, path: str) -> None:
        """Write the adapter as it is now."""
        save_adapter(self.decoder, path)

    def save_checkpoint(self, path: str) -> None:
        """Write where the run stands; ``resume`` goes on from there to the same bits."""
        save_state(path, self.step_count, self._identity, self._params, self._optimizer)

    def resume(self, path: str) -> None:
        """Stand where the checkpoint stands. FileFormatError for that of another run."""
        self.step_count = load_state(path, self._identity, self._params, self._optimizer)


def mean_loss(model: Decoder, examples: Sequence[Example], batch_size: int = 4) -> float:
    """What a target of the examples costs in the mean, in nats; nothing is learned."""
    total = 0.0
    with grad_mode.no_grad():
        for first in range(0, len(examples), batch_size):
            total += model.loss(*padded(examples[first : first + batch_size])).item()
    return total / max(num_targets(examples), 1)


def _digest(model: str) -> str:
    """Of the size of a model's file, and of what its header says: a run of many gigabytes need not read them all."""
    header = open_header(os.fspath(model))
    with open(model, "rb") as file:
        return f"{header.file_size_bytes} {hashlib.sha256(file.read(header.data_start)).hexdigest()}"
