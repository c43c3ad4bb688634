"""Measures programs beside torch and llama.cpp, and training beside torch.

    python -m ggml.benchmark --programs             # the models beside torch, and a Llama of 300 million weights
    python -m ggml.benchmark --programs --large     # and one of a billion, for which 12 GB of memory are needed
    python -m ggml.benchmark --training             # steps of training: compiled, eager, and those of torch

What the library adds to ggml's own time is in the tables of ``python -m ggml.tools.benchmark``.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
from collections.abc import Iterable

import ggml
from ggml.benchmark.programs import ROUNDS, beside_llama_cpp, beside_torch
from ggml.benchmark.training import beside
from ggml.benchmark.training.beside import STEPS


def main() -> None:
    """Print the tables as they come."""
    parser = argparse.ArgumentParser(prog="python -m ggml.benchmark", description=__doc__.splitlines()[0])
    kinds = parser.add_mutually_exclusive_group(required=True)
    kinds.add_argument("--programs", action="store_true", help="models that torch.export wrote down")
    kinds.add_argument("--training", action="store_true", help="steps of training")
    parser.add_argument("--threads", type=int, default=ggml.get_num_threads(), help="threads of the CPU")
    parser.add_argument("--rounds", type=int, help=f"how often all sides take their turn: {ROUNDS}, training {STEPS}")
    parser.add_argument("--only", choices=("torch", "llama.cpp"), help="beside one of them")
    parser.add_argument("--large", action="store_true", help="also a Llama of a billion weights")
    parser.add_argument("--eager", action="store_true", help="training without torch.compile, which takes minutes")
    arguments = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        parser.error("torch is not installed: pip install 'ggml-cluster[torch]'")
    threads, rounds = arguments.threads, arguments.rounds or (STEPS if arguments.training else ROUNDS)
    ggml.set_num_threads(threads)
    if arguments.training:
        print(f"{ggml.backend.info().description}, {threads} threads, load {os.getloadavg()[0]:.1f}")
        _print(beside.beside_torch(threads, rounds, not arguments.eager))
        return
    print(f"{ggml.backend.info().description}, {threads} threads, load {os.getloadavg()[0]:.1f}; ours, theirs, ratio")
    llamas = ("Llama 300M", "Llama 1B") if arguments.large else ("Llama 300M",)
    tables = itertools.chain(
        *[beside_llama_cpp(name, threads, rounds) for name in llamas if arguments.only != "torch"],
        beside_torch(threads, rounds) if arguments.only != "llama.cpp" else (),
    )
    _print(tables)


def _print(rows: Iterable[tuple[str, str]]) -> None:
    for name, text in rows:
        print(f"{name:34} {text}", flush=True)


if __name__ == "__main__":
    main()
