"""Trains the demo model on stories and chats from the grammars and writes it as a GGUF.

    python -m cluster.demo.train --out demo.gguf --minutes 55 --seed 0

Needs the ``train`` extra (torch, CPU build). All text comes from the grammars, and the run is seeded: the
same seed, torch build and thread count give the same model, unless the clock cuts the run short.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cluster.demo.dialogue.chats import chats
from cluster.demo.documents import Document, Mixture, documents
from cluster.demo.export import write_gguf
from cluster.demo.grammar import stories, write_story
from cluster.demo.model import ModelShape, StoryModel
from cluster.demo.tokenizer import CHAT_CONTROLS, NUM_BYTES, Tokenizer, train_merges

VOCAB = 1536
NUM_TOKENIZER_STORIES = 4000
NUM_TOKENIZER_CHATS = 6000
IGNORED = -100
NUM_HELD_OUT_ROWS = 32
HELD_OUT_SEED = 1_000_003
LOG_EVERY = 50
SAVE_EVERY = 100


@dataclass(frozen=True, slots=True)
class Phase:
    """From ``begin`` (a share of the run) on: rows of ``row_length`` tokens, filled with ``mixture``."""

    begin: float
    row_length: int
    mixture: Mixture


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast. Most steps see short rows; the last ones stretch to the full context."""

    num_steps: int = 6000
    batch_tokens: int = 3072
    phases: tuple[Phase, ...] = (
        Phase(0.0, 512, Mixture(max_exchanges=3)),
        Phase(0.72, 1024, Mixture(max_exchanges=6)),
        Phase(0.95, 4096, Mixture(chat_share=0.8, max_exchanges=30)),
    )
    peak_lr: float = 3e-3
    end_lr: float = 5e-5
    matrix_lr_scale: float = 2.0
    embedding_lr_scale: float = 2.0
    warmup: float = 0.02
    weight_decay: float = 0.05
    clip: float = 1.0

    @property
    def context_length(self) -> int:
        return max(phase.row_length for phase in self.phases)

    def phase(self, progress: float) -> Phase:
        return next(phase for phase in reversed(self.phases) if phase.begin <= progress)

    def lr(self, progress: float) -> float:
        """``progress`` in [0, 1]: a linear warm-up, then half a cosine down to ``end_lr``."""
        if progress < self.warmup:
            return self.peak_lr * (progress + 1e-3) / self.warmup
        along = (progress - self.warmup) / (1 - self.warmup)
        return self.end_lr + (self.peak_lr - self.end_lr) * (1 + math.cos(math.pi * min(along, 1.0))) / 2


class CountingRandom(random.Random):
    """Adds up the information of each choice: what no model of the grammar can save."""

    nats = 0.0

    def choice(self, seq: Sequence[Any]) -> Any:
        self.nats += math.log(len(seq))
        return super().choice(seq)


def entropy_per_token(tokenizer: Tokenizer, num_stories: int = 2000) -> float:
    """Nats per token that the grammar's own choices carry, the end mark included: a floor for the loss."""
    rng = CountingRandom(HELD_OUT_SEED)
    texts = [write_story(rng) for _ in range(num_stories)]
    return rng.nats / sum(len(tokenizer.encode(text)) + 2 for text in texts)


def rows(source: Iterator[Document], length: int) -> Iterator[Document]:
    """Rows of ``length`` ids: documents one after another, the last one cut off."""
    while True:
        ids: list[int] = []
        is_learned: list[bool] = []
        while len(ids) < length:
            document = next(source)
            ids += document.ids
            is_learned += document.is_learned
        yield Document(ids[:length], is_learned[:length])


def batch(source: Iterator[Document], num_rows: int, length: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets, each [num_rows, length]; a target that is not to be learned is IGNORED."""
    taken = list(itertools.islice(rows(source, length + 1), num_rows))
    ids = torch.tensor([row.ids for row in taken])
    is_learned = torch.tensor([row.is_learned for row in taken])
    return ids[:, :-1], ids.masked_fill(~is_learned, IGNORED)[:, 1:]


def loss_of(model: torch.nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Mean nats per learned token. Matrix products in bfloat16: a quarter less time where the CPU has it."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(inputs)
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def make_optimizers(model: StoryModel, recipe: Recipe) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices inside the layers (AdamW took twice the time to the same loss); AdamW for the rest.

    Each group remembers its own ``scale`` of the schedule.
    """
    blocks = list(model.blk.parameters())
    matrices = [p for p in blocks if p.dim() > 1]
    rest = [p for p in blocks if p.dim() == 1] + [model.output_norm.weight]
    decay = recipe.weight_decay
    groups = [
        {"params": rest, "scale": 1.0},
        {"params": [model.token_embd.weight], "scale": recipe.embedding_lr_scale},
    ]
    muon_groups = [{"params": matrices, "scale": recipe.matrix_lr_scale}]
    muon = torch.optim.Muon(muon_groups, lr=0.0, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    return muon, torch.optim.AdamW(groups, lr=0.0, weight_decay=0.0, betas=(0.9, 0.98), fused=True)


def set_lr(optimizers: tuple[torch.optim.Optimizer, ...], lr: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr * group["scale"]


@dataclass(frozen=True, slots=True)
class Report:
    """What the card quotes. Losses in nats per token."""

    seed: int
    num_steps: int
    num_tokens: int
    num_parameters: int
    train_loss: float
    held_out_loss: float
    entropy_floor: float
    wall_s: float
    cpu_s: float


def held_out_loss(model: torch.nn.Module, tokenizer: Tokenizer, recipe: Recipe) -> float:
    """On rows of the length that most of the run sees."""
    phase = recipe.phases[0]
    source = documents(tokenizer, random.Random(HELD_OUT_SEED), phase.mixture)
    with torch.no_grad():
        return float(loss_of(model, *batch(source, NUM_HELD_OUT_ROWS, phase.row_length)))


def fit(
    model: StoryModel,
    tokenizer: Tokenizer,
    recipe: Recipe,
    seed: int,
    limit_s: float,
    save: Callable[[], None] = lambda: None,
) -> Report:
    """Trains in place. On a machine too slow for ``num_steps`` the clock drives the schedule instead.

    ``save`` is called every SAVE_EVERY steps.
    """
    optimizers, rng = make_optimizers(model, recipe), random.Random(seed + 1)
    start_cpu_s = time.process_time()
    start_s, step, progress, smooth = time.monotonic(), 0, 0.0, math.log(model.shape.vocab)
    num_tokens = 0
    while progress < 1.0:
        phase = recipe.phase(progress)
        set_lr(optimizers, recipe.lr(progress))
        source = documents(tokenizer, rng, phase.mixture)
        inputs, targets = batch(source, max(1, recipe.batch_tokens // phase.row_length), phase.row_length)
        loss = loss_of(model, inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        smooth += (loss.item() - smooth) / min(step + 1, 20)
        step += 1
        num_tokens += inputs.numel()
        wall_s = time.monotonic() - start_s
        progress = max(step / recipe.num_steps, wall_s / limit_s)
        if step % SAVE_EVERY == 0:
            save()
        if step % LOG_EVERY == 0:
            print(
                f"step {step:5d}  loss {smooth:.4f}  lr {recipe.lr(progress):.2e}  {wall_s:6.0f} s",
                flush=True,
            )
    return Report(
        seed=seed,
        num_steps=step,
        num_tokens=num_tokens,
        num_parameters=sum(p.numel() for p in model.parameters()),
        train_loss=smooth,
        held_out_loss=held_out_loss(model, tokenizer, recipe),
        entropy_floor=entropy_per_token(tokenizer),
        wall_s=time.monotonic() - start_s,
        cpu_s=time.process_time() - start_cpu_s,
    )


def make_tokenizer(seed: int) -> Tokenizer:
    """A BPE of at most VOCAB entries, control tokens included, made of stories and of what is said in chats."""
    texts = list(itertools.islice(stories(seed), NUM_TOKENIZER_STORIES))
    for chat in itertools.islice(chats(seed, max_exchanges=2), NUM_TOKENIZER_CHATS):
        texts += [text for exchange in chat.exchanges for text in (exchange.user, exchange.answer)]
    texts += ["system\n", "user\n", "assistant\n"] * NUM_TOKENIZER_CHATS
    return Tokenizer(train_merges(texts, VOCAB - NUM_BYTES - len(CHAT_CONTROLS)))


def train(out: Path, minutes: float, seed: int, recipe: Recipe, is_compiled: bool = False) -> Report:
    """Trains and writes ``out``, now and then already on the way, so that a run can be watched."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer(seed)
    model = StoryModel(ModelShape(vocab=len(tokenizer.tokens), context_length=recipe.context_length))

    def save() -> None:
        tensors = {name: weight.detach().numpy() for name, weight in model.named_parameters()}
        write_gguf(out, model.shape, tokenizer, tensors)

    if is_compiled:
        # Layer by layer: all of them run the same code, so it is compiled once per row length.
        for layer in model.blk:
            layer.compile(dynamic=False)
    report = fit(model, tokenizer, recipe, seed, limit_s=60 * minutes, save=save)
    save()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo.gguf"))
    parser.add_argument("--minutes", type=float, default=55.0, help="end the run by then, at whatever step")
    parser.add_argument("--steps", type=int, default=Recipe().num_steps)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true", help="about twice as fast; needs a C++ compiler")
    args = parser.parse_args()
    report = train(args.out, args.minutes, args.seed, Recipe(num_steps=args.steps), args.compile)
    print(json.dumps(asdict(report), indent=2))


if __name__ == "__main__":
    main()
