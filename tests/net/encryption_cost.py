"""What mutual TLS costs: tokens per second of two clusters over the same hosts, one without it, asked in turns.

    python -m tests.net.encryption_cost [--rounds N] [--model MODEL.gguf]

All hosts are namespaces of this machine and share its cores, so that the processor time of encryption counts in full.
It needs the rights that the tests of this folder need.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

from tests.net import rights
from tests.net.hosts import Hosts
from tests.net.together import Together

NUM_NODES = 3
OTHER_FIRST_PORT = 9469
NUM_TOKENS = 32
STREAMS = (1, 8)
RATE = """
import time
streams, tokens = arguments
params = cluster.SamplingParams(max_tokens=tokens, temperature=0.0, ignore_eos=True)
prompts = [f"Once upon a time number {number}" for number in range(streams)]
client.generate(prompts, params)
begin_s = time.perf_counter()
client.generate(prompts, params)
answer = streams * tokens / (time.perf_counter() - begin_s)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--model", default="--demo")
    options = parser.parse_args()
    missing = rights.missing()
    if missing is not None:
        raise SystemExit(missing)
    with tempfile.TemporaryDirectory(prefix="cost-") as folder:
        hosts = Hosts.make(Path(folder), NUM_NODES)
        try:
            _compare(hosts, options.model, options.rounds)
        finally:
            hosts.close()


def _compare(hosts: Hosts, model: str, rounds: int) -> None:
    # The same layers for both: what was measured of the devices differs from time to time.
    common = (model, "--tensor-split", "1,1,1", "-c", "256", "-t", "1", "--no-lend-cores")
    ways = {}
    for way, more in (("TLS", ()), ("plain", ("--insecure", "--first-port", str(OTHER_FIRST_PORT)))):
        for host in hosts:
            host.profile = way
        ways[way] = Together.start(hosts, *common, *more, num_nodes=NUM_NODES)
        print(f"{way}: serves", flush=True)
    rates: dict[tuple[str, int], list[float]] = {}
    for at in range(rounds):
        order = list(ways) if at % 2 else list(reversed(ways))
        for streams in STREAMS:
            for way in order:
                for host in hosts:
                    host.profile = way
                rates.setdefault((way, streams), []).append(ways[way].ask(RATE, streams, NUM_TOKENS))
        print(f"round {at + 1} of {rounds}", flush=True)
    print("| streams | plain | TLS | ratio of medians |\n|---|---|---|---|")
    for streams in STREAMS:
        plain, tls = (median(rates[way, streams]) for way in ("plain", "TLS"))
        print(f"| x{streams} | {plain:.1f} | {tls:.1f} | {tls / plain:.3f} |")


if __name__ == "__main__":
    main()
