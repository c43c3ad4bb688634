"""What it costs that the last of three stages dies: with the rows that its neighbour kept, and without. Run by hand.

python -m tests.fault.replay_cost [--shape 1b:Q4_0] [--tokens 1500] [-r 2] [--deaths 3]

Each round has one cluster of either kind, and in it several deaths under the same eight streams. The time is that from
the death to the moment when all streams go on, so that loading the slice is a part of it: it is shown beside.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import tempfile
import threading
import time
from pathlib import Path

import cluster
from cluster.synthetic.model import synthetic_model
from tests.conftest import CliHome
from tests.fakes.wire_backends import wait_until
from tests.fault.streams import Stream, stage_pids

NUM_STREAMS = 8
MOST_S = 900.0
NUM_ANSWER_TOKENS = 2000  # more than any stream gets until the last death: prompts are computed one after the other


def prompt_of(place: int, num_tokens: int) -> list[int]:
    """No two begin alike, or the second would start from what the first left."""
    draw = random.Random(place)
    return [draw.randrange(100, 400) for _ in range(num_tokens)]


def deaths(home: CliHome, num_tokens: int, num_deaths: int) -> list[float]:
    """Seconds until all streams went on, for each death of the last stage."""
    streams, found = [Stream() for _ in range(NUM_STREAMS)], list[float]()
    with cluster.connect(home.address, home.client_secret) as client:
        readers = [
            threading.Thread(
                target=stream.read, args=(client, prompt_of(place, num_tokens), place, NUM_ANSWER_TOKENS), daemon=True
            )
            for place, stream in enumerate(streams)
        ]
        for reader in readers:
            reader.start()
        for _ in range(num_deaths):
            wait_for_more(streams, 10)
            os.kill(stage_pids(home)[-1], signal.SIGKILL)
            begin_s = time.monotonic()
            wait_for_more(streams, 2)
            found.append(time.monotonic() - begin_s)
            print(f"  {found[-1]:.1f} s", flush=True)
    return found  # the cluster is taken down under streams that have not ended


def wait_for_more(streams: list[Stream], num_tokens: int) -> None:
    """Each has so many more tokens than now."""
    had = [len(stream.tokens) for stream in streams]

    def have_more() -> bool:
        errors = [stream.error for stream in streams if stream.error is not None]
        if errors:
            raise errors[0]
        assert max(had) + num_tokens < NUM_ANSWER_TOKENS, "a stream has ended that was to go on"
        return all(len(stream.tokens) >= num + num_tokens for stream, num in zip(streams, had, strict=True))

    wait_until(have_more, MOST_S)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", default="1b:Q4_0")
    parser.add_argument("--tokens", type=int, default=1500)
    parser.add_argument("-r", type=int, default=2)
    parser.add_argument("--deaths", type=int, default=3)
    options = parser.parse_args()
    took: dict[str, list[float]] = {"kept": [], "all": []}
    with tempfile.TemporaryDirectory() as folder:
        model = synthetic_model(options.shape, print)
        for place in range(options.r):
            for name, ram in (("kept", "256"), ("all", "0")):
                home = CliHome(Path(folder) / f"{name}{place}")
                home.root.mkdir()
                try:
                    ctx_size = str(options.tokens + NUM_ANSWER_TOKENS)
                    flags = ("--stages", "3", "--no-http", "--ctx-size", ctx_size, "--replay-ram", ram)
                    done = home.run("up", str(model), *flags)
                    assert done.returncode == 0, done.stderr
                    print(f"round {place + 1}, {name}:", flush=True)
                    took[name] += deaths(home, options.tokens, options.deaths)
                finally:
                    home.close()
    medians = {name: statistics.median(seconds) for name, seconds in took.items()}
    ratio = medians["kept"] / medians["all"]
    print(f"medians: kept {medians['kept']:.1f} s, all {medians['all']:.1f} s; ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
