"""Learns to balance poles by proximal policy optimisation, and prints how long they stand.

python -m ggml.examples.ppo --updates 40
"""

from __future__ import annotations

import argparse

from ggml.examples.ppo.training import train


def main() -> None:
    """Print a line for each update."""
    parser = argparse.ArgumentParser(prog="python -m ggml.examples.ppo", description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train(options.updates, options.seed)


if __name__ == "__main__":
    main()
