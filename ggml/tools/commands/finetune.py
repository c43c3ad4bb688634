"""``finetune``: teach a GGUF model with LoRA, and write the adapter that llama.cpp and ``cluster up --lora`` take."""

from __future__ import annotations

import argparse
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

from ggml.core.errors import ArgumentError
from ggml.finetuning import LAYER_TARGETS, Run, Settings
from ggml.finetuning.progress import History, Progress, curve
from ggml.graph.threads import set_num_threads

NAME = "finetune"
HELP = "fine-tune a GGUF model of llama's or Qwen's kind with LoRA, and write the adapter"

# A checkpoint is small beside what was learned in that time.
_CHECKPOINT_EVERY_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, the data, where the adapter goes, and the run's numbers."""
    plain = Settings()
    parser.add_argument("model", metavar="MODEL.gguf", help="llama, qwen2 or qwen3; may be quantised")
    parser.add_argument(
        "--data", required=True, metavar="F",
        help='.jsonl of {"text": ...} or {"prompt": ..., "completion": ...}; any other file is one plain text',
    )  # fmt: skip
    parser.add_argument("-o", "--output", required=True, metavar="ADAPTER.gguf")
    parser.add_argument("--lora-rank", type=int, default=plain.rank, metavar="R", help="default: %(default)s")
    parser.add_argument("--lora-alpha", type=float, metavar="A", help="default: twice the rank")
    parser.add_argument(
        "--lora-dropout", type=float, default=plain.dropout, metavar="P",
        help="the probability that an element which the matrices read is zero; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--lora-targets", default=",".join(LAYER_TARGETS), metavar="T,T", help="default: %(default)s; also output"
    )
    parser.add_argument("--learning-rate", type=float, default=plain.learning_rate, metavar="X", help="%(default)s")
    parser.add_argument("--epochs", type=float, default=plain.epochs, metavar="N", help="default: %(default)s")
    parser.add_argument("--steps", type=int, metavar="N", help="in place of --epochs")
    parser.add_argument("--batch-size", type=int, default=plain.batch_size, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--sequence-length", type=int, default=plain.sequence_length, metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=plain.seed, metavar="N", help="default: %(default)s")
    parser.add_argument("--threads", type=int, metavar="N", help="default: as many as there are cores")
    parser.add_argument("--resume", action="store_true", help="go on from OUTPUT.checkpoint, to the same bits")


def run(options: argparse.Namespace) -> None:
    """Train, with a line at least every ten seconds. Ctrl-C writes what there is, and says how to go on."""
    output = options.output
    checkpoint, history = f"{output}.checkpoint", f"{output}.jsonl"
    _check_places(options, checkpoint)
    if options.threads is not None:
        set_num_threads(options.threads)
    training = Run(options.model, options.data, _settings(options))
    if options.resume:
        training.resume(checkpoint)
    told = History(history, training.step_count)
    try:
        with _Interrupt() as interrupt, Progress(training.step_count, training.num_steps, _say) as progress:
            saved_s = time.monotonic()
            while training.step_count < training.num_steps and not interrupt.was_asked:
                done = training.step()
                told.add(done)
                progress.add(done)
                if time.monotonic() - saved_s > _CHECKPOINT_EVERY_S:
                    training.save_checkpoint(checkpoint)
                    saved_s = time.monotonic()
    finally:
        told.close()
    is_complete = training.step_count == training.num_steps
    if not is_complete:  # first: with it nothing is lost, whatever happens next
        training.save_checkpoint(checkpoint)
    training.save(output)
    _say(curve(told.losses))
    if not is_complete:
        _say(f"{output} has {training.step_count} of {training.num_steps} steps; --resume goes on")
        raise KeyboardInterrupt
    Path(checkpoint).unlink(missing_ok=True)
    _say(f"{output} is written; losses are in {history}")


def _check_places(options: argparse.Namespace, checkpoint: str) -> None:
    if options.resume and not Path(checkpoint).exists():
        raise ArgumentError("finetune", "--resume", f"there is no {checkpoint}; begin without --resume")
    if not options.resume and Path(options.output).exists():
        raise ArgumentError("finetune", "--output", f"{options.output} exists; give another name, or --resume")
    if not options.resume and Path(checkpoint).exists():
        raise ArgumentError("finetune", "--output", f"{checkpoint} exists; remove it, or go on with --resume")
    if not Path(options.output).parent.is_dir():
        raise ArgumentError("finetune", "--output", f"{Path(options.output).parent} is no folder; make it first")


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        rank=options.lora_rank,
        alpha=options.lora_alpha,
        dropout=options.lora_dropout,
        targets=tuple(dict.fromkeys(filter(None, options.lora_targets.split(",")))),
        learning_rate=options.learning_rate,
        epochs=options.epochs,
        steps=options.steps,
        batch_size=options.batch_size,
        sequence_length=options.sequence_length,
        seed=options.seed,
    )


def _say(line: str) -> None:
    print(line, flush=True)


class _Interrupt:
    """Within it the first Ctrl-C is a wish to end after the step; a second one ends at once, as always."""

    was_asked = False

    def __enter__(self) -> _Interrupt:
        self._before: Any = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.was_asked = True
        signal.signal(signal.SIGINT, self._before)
