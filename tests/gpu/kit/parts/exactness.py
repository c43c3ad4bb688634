"""Slices on the device say what whole libllama says there: logits, and the greedy text of eight prompts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.gpu.kit.case import Case
from tests.gpu.kit.finding import Tell, judged, not_run
from tests.gpu.kit.settings import Settings

if TYPE_CHECKING:
    from cluster.messages.step import Float32Array
    from cluster.verify.steps import Step
    from tests.gpu.kit.chain import Chain

# Of all kinds on a device that is measured; here it is enough to know that the comparison works.
TINY_KINDS = ("dense", "recurrent")
NUM_PROMPTS, PROMPT_LENGTH, NUM_TOKENS = 8, 6, 12


def cases(settings: Settings) -> list[Case]:
    from tests.gpu.kit.models import ARCHITECTURES

    kinds = TINY_KINDS if settings.is_tiny else tuple(ARCHITECTURES)
    return [Case(kind, partial(_compare, kind), 40.0) for kind in kinds]


def _compare(kind: str, settings: Settings, tell: Tell) -> None:
    from cluster.cutting.header import read_header
    from cluster.cutting.rules import check
    from cluster.verify.steps import make_steps
    from tests.gpu.kit.chain import BATCH_ROWS, CONTEXT_LENGTH, NUM_SLOTS, Chain, compared, whole_logits
    from tests.gpu.kit.models import architecture_model

    model = architecture_model(settings.scratch, kind)
    device = settings.device
    with Chain(model, (), (device,)) as chain:
        steps = make_steps(chain.vocab_size, CONTEXT_LENGTH, NUM_SLOTS, BATCH_ROWS)
        one_slice = chain.compute(steps)
        chain.clear()
        texts, text_steps = _greedy(chain)
    whole = whole_logits(model, device, steps)
    tell(compared("one slice, logits", one_slice, whole))
    told = _most_probable(whole_logits(model, device, text_steps), text_steps)
    right = sum(one == other for one, other in zip(texts, told, strict=True))
    tell(judged("one slice, greedy text", right == NUM_PROMPTS, "texts differ", equal=f"{right}/{NUM_PROMPTS}"))
    cuts = _cuts(model)
    if not cuts:
        tell(not_run("two slices", check(read_header(model)).places[0].refusal))
    for name, chosen in cuts.items():
        layouts = [(device,) * (len(chosen) + 1)]
        if not settings.is_cpu:
            layouts.append(("CPU", *layouts[0][1:]))
        for devices in layouts:
            with Chain(model, chosen, devices) as chain:
                tell(compared(f"{name}, {' + '.join(dict.fromkeys(devices))}, logits", chain.compute(steps), whole))


def _cuts(model: Path) -> dict[str, tuple[int, ...]]:
    """In the middle, and at three places; {} for a model that is served whole."""
    from cluster.cutting.cuts import legal_cuts
    from cluster.cutting.header import read_header
    from cluster.cutting.rules import check

    legal = legal_cuts(check(read_header(model)))
    if not legal:
        return {}
    found = {"two slices": (legal[len(legal) // 2],)}
    if len(legal) > 2:
        found["four slices"] = (legal[0], legal[len(legal) // 2], legal[-1])
    return found


def _greedy(chain: Chain) -> tuple[list[list[int]], list[Step]]:
    """What the chain writes behind each prompt, one in each slot; and the steps of it."""
    import numpy as np

    from tests.gpu.kit.chain import rows

    rng = np.random.default_rng(11)
    texts, steps = [], []
    for slot in range(NUM_PROMPTS):
        tokens = rng.integers(3, chain.vocab_size, PROMPT_LENGTH).tolist()
        text: list[int] = []
        position = 0
        while len(text) < NUM_TOKENS:
            steps.append(rows(slot, position, tokens))
            position += len(tokens)
            tokens = [int(chain.compute([steps[-1]])[-1].argmax())]
            text += tokens
        texts.append(text)
    return texts, steps


def _most_probable(logits: Float32Array, steps: Sequence[Step]) -> list[list[int]]:
    """What another model would have written behind each step, as one text for each slot."""
    texts: list[list[int]] = [[] for _ in range(NUM_PROMPTS)]
    at = 0
    for step in steps:
        at += len(step.tokens)
        texts[step.slots[0]].append(int(logits[at - 1].argmax()))
    return texts
