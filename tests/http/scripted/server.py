"""The real cluster and the real server, but the last stage draws the tokens of a script.

What agents do with an answer can be tested only with answers that make sense: calls of their own tools, in prompts of
many thousands of tokens. No model that is small enough to lie in this repository gives those. So here all is real, the
template, the tokenizer, the computing of all layers, the grammars, the readers of tokens, all wires, but for the choice
of the next token: what draws it in the last stage looks at the text of the prompt, and writes what the test says.
A script that writes what the grammar of its request forbids fails, as a sampler would that ignored its mask.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cluster.messages.step import Float32Array, Int32Array, SlotSampling
from cluster.stage.grammars.compiled import CompiledGrammars
from cluster.stage.grammars.sampler import GrammarSampler
from cluster.stage.model import MaskedSampler, Masks, Sample
from cluster.stage.models.gguf import open_gguf
from cluster.stage.models.sampler import NativeSampler
from cluster.stage.models.spelling import open_spelling
from cluster.stage.runner import StageRunner
from cluster.stage.spec import OnProgress, StageSpec
from tests.http.scripted.model import CONTEXT_LENGTH, END_OF_TURN, SPACE, tokens, write_scripted
from tests.http.serving import Served, serving

Answer = Callable[[str], str]  # of the prompt's text, with the names of control tokens in it


class Script:
    """What is answered. The function may be changed between requests, by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answer: Answer = lambda prompt: "Yes."
        self.prompts: list[str] = []  # that were answered

    def answers(self, answer: Answer | str) -> None:
        """From now on; a text is the answer to everything."""
        with self._lock:
            self.prompts = []
            self._answer = (lambda prompt: answer) if isinstance(answer, str) else answer

    def answer(self, prompt: str) -> str:
        with self._lock:
            self.prompts.append(prompt)
            return self._answer(prompt)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Implements `stage.model.Sample`."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()
    error: str = ""


class Words:
    """From text to tokens and back, without a tokenizer of a process of its own: the stage has none."""

    def __init__(self) -> None:
        texts = [text for text, _ in tokens()]
        self._pieces = [_piece(text) for text in texts]
        self._ids = {piece: token for token, piece in enumerate(self._pieces)}
        self._longest = max(map(len, self._pieces))
        self.end = texts.index(END_OF_TURN)

    def text(self, ids: Sequence[int]) -> str:
        return b"".join(self._pieces[token] for token in ids if token >= 0).decode(errors="replace")

    def ids(self, text: str) -> list[int]:
        """The longest token that fits, again and again."""
        data, found = text.encode(), []
        while data:
            sizes = range(min(self._longest, len(data)), 0, -1)
            size = next(size for size in sizes if data[:size] in self._ids)
            found.append(self._ids[data[:size]])
            data = data[size:]
        return found


def _piece(text: str) -> bytes:
    if text.startswith("<0x"):
        return bytes([int(text[3:5], 16)])
    return text.replace(SPACE, " ").encode()


@dataclass
class _Slot:
    ids: list[int] = field(default_factory=list)  # of the tokens that it holds
    num_prompt: int = 0
    answer: list[int] | None = None  # None until the prompt is there


class ScriptedSampler:
    """Implements `stage.model.MaskedSampler`, around the real one, which is told everything and draws nothing."""

    def __init__(self, inner: MaskedSampler, script: Script, words: Words) -> None:
        self._inner = inner
        self._script = script
        self._words = words
        self._slots: dict[int, _Slot] = {}

    def set(self, sampling: SlotSampling) -> None:
        self._inner.set(sampling)
        slot = self._slots.setdefault(sampling.slot, _Slot())
        slot.num_prompt, slot.answer = sampling.num_prompt_tokens, None

    def prepare_slot(self, slot: int, source: int, length: int) -> None:
        self._inner.prepare_slot(slot, source, length)
        held = self._slots.get(source, _Slot()).ids[:length]
        self._slots.setdefault(slot, _Slot()).ids = held

    def keep(self, tokens: Int32Array, positions: Int32Array, slots: Int32Array) -> None:
        self._inner.keep(tokens, positions, slots)
        for token, position, slot in zip(tokens.tolist(), positions.tolist(), slots.tolist(), strict=True):
            ids = self._slots.setdefault(slot, _Slot()).ids
            ids[position:] = [token]

    def score(
        self, logits: Float32Array, rows: Sequence[int], slots: Sequence[int], tokens: Sequence[int]
    ) -> Sequence[Sample]:
        return self._inner.score(logits, rows, slots, tokens)

    def sample(
        self,
        logits: Float32Array,
        rows: Sequence[int],
        slots: Sequence[int],
        positions: Sequence[int],
        masks: Masks = (),
    ) -> Sequence[Sample]:
        return [
            self._drawn(logits[row], slot, position) for row, slot, position in zip(rows, slots, positions, strict=True)
        ]

    def compile(self, grammar: str) -> None:
        """A script follows no grammar, so that there is nothing to make ready."""

    def follow(self) -> None:
        """Nor any mask."""

    def close(self) -> None:
        """It has no thread."""

    def _drawn(self, logits: Float32Array, slot: int, position: int) -> Drawn:
        held = self._slots[slot]
        if held.answer is None:
            prompt = self._words.text(held.ids[: held.num_prompt])
            held.answer = self._words.ids(self._script.answer(prompt))
        place = position + 1 - held.num_prompt
        token = held.answer[place] if place < len(held.answer) else self._words.end
        shifted = logits - logits.max()
        logprobs = shifted - np.log(np.exp(shifted).sum())
        return Drawn(token, float(logprobs[token]), ((token, float(logprobs[token])),))


@dataclass
class Scripted:
    """A server, and what it answers."""

    served: Served
    script: Script

    @property
    def url(self) -> str:
        return self.served.url


@contextmanager
def scripted_server(
    folder: Path, num_slots: int = 4, context_length: int = CONTEXT_LENGTH, **more: Any
) -> Iterator[Scripted]:
    """Two stages, of which the last one is scripted. `folder`: for the model's file. `more`: as `serving` takes it."""
    script, words = Script(), Words()

    def load(spec: StageSpec, report: OnProgress) -> StageRunner:
        model = open_gguf(spec, spec.options, report, None)
        if not model.is_last:
            return StageRunner(spec, model, None)
        drawing = ScriptedSampler(NativeSampler(spec, model.vocab_size), script, words)
        compiled = CompiledGrammars(partial(open_spelling, spec, None), model.vocab_size)
        return StageRunner(spec, model, GrammarSampler(drawing, compiled))

    model = str(write_scripted(folder / "scripted.gguf"))
    with serving(model=model, num_slots=num_slots, context_length=context_length, load=load, **more) as served:
        yield Scripted(served, script)
