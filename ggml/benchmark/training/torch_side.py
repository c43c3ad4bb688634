"""Steps of torch in a process of its own: each line asks for one, and the answer is its seconds and its loss.

python -m ggml.benchmark.training.torch_side "MLP 784-512-512-10, batch 64" 2 weights.npz eager
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

from ggml.benchmark.training.models import MODELS, RATE, batch, loop


def main() -> None:
    """Say ``ready``, or ``failed`` and why, and answer each line."""
    name, num_threads, path, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    torch.set_num_threads(num_threads)
    model = MODELS[name](torch)
    with np.load(path) as weights:
        model.load_state_dict({key: torch.from_numpy(weights[key]) for key in weights.files})
    run = torch.compile(model) if kind == "compile" else model
    step = loop(torch, run, torch.optim.AdamW(model.parameters(), lr=RATE))
    x, y = (torch.from_numpy(one) for one in batch(name))
    if kind == "compile":
        try:
            torch.nn.functional.cross_entropy(run(x), y).backward()
        except Exception as error:  # whatever a compiler that is not there, or does not work, makes of it
            print(f"failed {type(error).__name__}: {' '.join(str(error).split())[:160]}", flush=True)
            return
    print("ready", flush=True)
    for _ in sys.stdin:
        begin_s = time.perf_counter()
        loss = step(x, y).item()
        print(time.perf_counter() - begin_s, loss, flush=True)


if __name__ == "__main__":
    main()
