"""What the journal costs: tokens per second of eight streams with it and without, in turns. Run by hand.

python -m tests.fault.journal_cost [--shape 1b:Q4_0] [-r 9] [-n 128]

Without a shape, at the demo model.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import cluster
from cluster.synthetic.model import synthetic_model
from tests.conftest import CliHome

NUM_STREAMS = 8


def tokens_per_s(home: CliHome, num_tokens: int) -> float:
    with cluster.connect(home.address, home.client_secret) as client:
        begin_s = time.monotonic()
        prompts = [f"Once upon a time number {place}" for place in range(NUM_STREAMS)]
        found = client.generate(prompts, max_tokens=num_tokens, ignore_eos=True, temperature=0.8, seed=1)
        return sum(len(one.token_ids) for one in found) / (time.monotonic() - begin_s)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", default=None)
    parser.add_argument("-r", type=int, default=9)
    parser.add_argument("-n", type=int, default=128)
    options = parser.parse_args()
    model = "--demo" if options.shape is None else str(synthetic_model(options.shape, print))
    with tempfile.TemporaryDirectory() as folder:
        homes = {name: CliHome(Path(folder) / name) for name in ("on", "off")}
        try:
            for name, home in homes.items():
                home.root.mkdir()
                flag = () if name == "on" else ("--no-journal",)
                done = home.run("up", model, "--stages", "2", "--no-http", *flag)
                assert done.returncode == 0, done.stderr
                tokens_per_s(home, 16)
            rounds = [{name: tokens_per_s(home, options.n) for name, home in homes.items()} for _ in range(options.r)]
        finally:
            for home in homes.values():
                home.close()
    ratios = [one["on"] / one["off"] for one in rounds]
    for one, ratio in zip(rounds, ratios, strict=True):
        print(f"on {one['on']:8.1f}  off {one['off']:8.1f}  ratio {ratio:.3f}")
    medians = {name: statistics.median(one[name] for one in rounds) for name in homes}
    print(
        f"medians: on {medians['on']:.1f} tok/s, off {medians['off']:.1f} tok/s; "
        f"median ratio {statistics.median(ratios):.3f}"
    )


if __name__ == "__main__":
    main()
