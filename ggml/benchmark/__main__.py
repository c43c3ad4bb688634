"""Measures programs beside torch and llama.cpp.

    python -m ggml.benchmark --programs             # the models beside torch, and a Llama of 300 million weights
    python -m ggml.benchmark --programs --large     # and one of a billion, for which 12 GB of memory are needed

What the library adds to ggml's own time is in the tables of ``python -m ggml.tools.benchmark``.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os

import ggml
from ggml.benchmark.programs import ROUNDS, beside_llama_cpp, beside_torch


def main() -> None:
    """Print the tables as they come."""
    parser = argparse.ArgumentParser(prog="python -m ggml.benchmark", description=__doc__.splitlines()[0])
    parser.add_argument("--programs", action="store_true", required=True, help="models that torch.export wrote down")
    parser.add_argument("--threads", type=int, default=ggml.get_num_threads(), help="threads of the CPU")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often both sides take their turn")
    parser.add_argument("--only", choices=("torch", "llama.cpp"), help="beside one of them")
    parser.add_argument("--large", action="store_true", help="also a Llama of a billion weights")
    arguments = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        parser.error("torch is not installed: pip install 'ggml-cluster[torch]'")
    threads, rounds = arguments.threads, arguments.rounds
    ggml.set_num_threads(threads)
    print(f"{ggml.backend.info().description}, {threads} threads, load {os.getloadavg()[0]:.1f}; ours, theirs, ratio")
    llamas = ("Llama 300M", "Llama 1B") if arguments.large else ("Llama 300M",)
    tables = itertools.chain(
        *[beside_llama_cpp(name, threads, rounds) for name in llamas if arguments.only != "torch"],
        beside_torch(threads, rounds) if arguments.only != "llama.cpp" else (),
    )
    for name, text in tables:
        print(f"{name:34} {text}", flush=True)


if __name__ == "__main__":
    main()
