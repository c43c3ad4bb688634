"""Trains the demo model on stories from the grammar and writes it as a GGUF.

    python -m cluster.demo.train --out demo.gguf --minutes 25 --seed 0

Needs the ``train`` extra (torch, CPU build). All text comes from the grammar, and the run is seeded: the
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

from cluster.demo.export import write_gguf
from cluster.demo.grammar import stories, write_story
from cluster.demo.model import ModelShape, StoryModel
from cluster.demo.tokenizer import Tokenizer, train_merges

VOCAB = 1024
NUM_TOKENIZER_STORIES = 4000
NUM_HELD_OUT_ROWS = 32
HELD_OUT_SEED = 1_000_003
LOG_EVERY = 50
SAVE_EVERY = 200


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast. Most steps see short rows; the last ones stretch to the full context."""

    num_steps: int = 3000
    batch_tokens: int = 2048
    short_row: int = 256
    long_row: int = 1024
    short_share: float = 0.85
    peak_lr: float = 3e-3
    end_lr: float = 5e-5
    matrix_lr_scale: float = 2.0
    embedding_lr_scale: float = 2.0
    warmup: float = 0.02
    weight_decay: float = 0.05
    clip: float = 1.0

    def row_length(self, progress: float) -> int:
        return self.short_row if progress < self.short_share else self.long_row

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


def rows(tokenizer: Tokenizer, source: Iterator[str], length: int) -> Iterator[list[int]]:
    """Rows of ``length`` ids, each beginning with BOS: stories one after another, the last one cut off."""
    while True:
        row: list[int] = []
        while len(row) < length:
            row += [tokenizer.bos_id, *tokenizer.encode(next(source)), tokenizer.eos_id]
        yield row[:length]


def batch(tokenizer: Tokenizer, source: Iterator[str], num_rows: int, length: int) -> Tensor:
    """Ids [num_rows, length + 1]: inputs and targets overlap in all but one position."""
    return torch.tensor(list(itertools.islice(rows(tokenizer, source, length + 1), num_rows)))


def loss_of(model: torch.nn.Module, ids: Tensor) -> Tensor:
    """Mean nats per token. Matrix products in bfloat16: a quarter less time where the CPU has it."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(ids[:, :-1])
    return F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())


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
    ids = batch(tokenizer, stories(HELD_OUT_SEED), NUM_HELD_OUT_ROWS, recipe.short_row)
    with torch.no_grad():
        return float(loss_of(model, ids))


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
    optimizers, source = make_optimizers(model, recipe), stories(seed + 1)
    start_cpu_s = time.process_time()
    start_s, step, progress, smooth = time.monotonic(), 0, 0.0, math.log(model.shape.vocab)
    while progress < 1.0:
        length = recipe.row_length(progress)
        set_lr(optimizers, recipe.lr(progress))
        loss = loss_of(model, batch(tokenizer, source, recipe.batch_tokens // length, length))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        smooth += (loss.item() - smooth) / min(step + 1, 20)
        step += 1
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
        num_tokens=step * recipe.batch_tokens,
        num_parameters=sum(p.numel() for p in model.parameters()),
        train_loss=smooth,
        held_out_loss=held_out_loss(model, tokenizer, recipe),
        entropy_floor=entropy_per_token(tokenizer),
        wall_s=time.monotonic() - start_s,
        cpu_s=time.process_time() - start_cpu_s,
    )


def make_tokenizer(seed: int) -> Tokenizer:
    """A BPE of at most VOCAB entries, BOS and EOS included."""
    texts = itertools.islice(stories(seed), NUM_TOKENIZER_STORIES)
    return Tokenizer(train_merges(texts, VOCAB - 256 - 2))


def train(out: Path, minutes: float, seed: int, recipe: Recipe) -> Report:
    """Trains and writes ``out``, now and then already on the way, so that a run can be watched."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer(seed)
    model = StoryModel(ModelShape(vocab=len(tokenizer.tokens), context_length=recipe.long_row))

    def save() -> None:
        tensors = {name: weight.detach().numpy() for name, weight in model.named_parameters()}
        write_gguf(out, model.shape, tokenizer, tensors)

    report = fit(model, tokenizer, recipe, seed, limit_s=60 * minutes, save=save)
    save()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo.gguf"))
    parser.add_argument("--minutes", type=float, default=25.0, help="end the run by then, at whatever step")
    parser.add_argument("--steps", type=int, default=Recipe().num_steps)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    report = train(args.out, args.minutes, args.seed, Recipe(num_steps=args.steps))
    print(json.dumps(asdict(report), indent=2))


if __name__ == "__main__":
    main()
