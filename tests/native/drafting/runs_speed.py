"""What drafts bring that are sent before the ones before them are answered, over long ways. Run by hand.

python -m tests.native.drafting.runs_speed [--model demo|300m:Q4_0] [--delay-ms 5] [--rounds 7] [--tokens 200]

One cluster of three stages, each in a process of its own (or, with --one-process, all in this), and one stream. Each
round asks for the same texts in three ways, in turns: without drafts, with one draft at a time, and with several.
Greedy texts have to be the same.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import statistics
from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from pathlib import Path

import cluster
from cluster.api.results import Completion
from cluster.api.sampling import SamplingParams
from cluster.coordinator import abilities
from cluster.coordinator.service import CoordinatorService
from cluster.demo import model_path
from cluster.engine.drafting.drafter import Drafter
from cluster.engine.drafting.lookup import LookupDrafter
from cluster.engine.sequence import Sequence
from cluster.synthetic.model import synthetic_model
from tests.fakes.wire_backends import SECRET
from tests.native.drafting.far_stages import far_cluster

NUM_STAGES = 3
REPEATING = "The dog ran to the park. The cat ran to the park. " * 4
GRAMMAR = 'start: ("the dog ran to the park. " | "the cat saw it all. ")+'
MODES = ("off", "one", "several")


class Knowing:
    """Knows a text, and has a share of its tokens right: the same ones each time."""

    def __init__(self, share: float) -> None:
        self._share = share
        self.text: tuple[int, ...] = ()

    def draft(self, sequence: Sequence, max_tokens: int) -> list[int]:
        begin = sequence.num_generated + len(sequence.ahead)
        right = self.text[begin : begin + max_tokens]
        return [token if self._is_right(begin + place) else token ^ 1 for place, token in enumerate(right)]

    def rate(self, sequence: Sequence) -> float:
        return self._share

    def forget(self, request_id: int) -> None:
        pass

    def _is_right(self, place: int) -> bool:
        return random.Random(place).random() < self._share


class Switched:
    """The drafter of the cluster: another one for each kind of text."""

    def __init__(self) -> None:
        self.used: Drafter = LookupDrafter()

    def draft(self, sequence: Sequence, max_tokens: int) -> Items[int]:
        return self.used.draft(sequence, max_tokens)

    def rate(self, sequence: Sequence) -> float:
        return self.used.rate(sequence)

    def forget(self, request_id: int) -> None:
        self.used.forget(request_id)


@dataclass
class Kind:
    """Texts of one kind, and how fast they came, by mode."""

    name: str
    prompt: str | list[int]
    params: SamplingParams
    drafter: Drafter
    tokens_s: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in MODES})
    told: dict[str, list[int]] = field(default_factory=lambda: {mode: [0, 0, 0] for mode in MODES})
    num_other: int = 0  # texts that were not that of without drafts

    @property
    def line(self) -> str:
        medians = [f"{statistics.median(self.tokens_s[mode]):.1f}" for mode in MODES]
        counts = "/".join(map(str, self.told["several"]))
        return (
            f"| {self.name} | {' | '.join(medians)} | {self.ratio('several', 'one')} | "
            f"{self.ratio('several', 'off')} | {counts} | {self.num_other} |"
        )

    def ratio(self, mode: str, other: str) -> str:
        ratios = [ours / theirs for ours, theirs in zip(self.tokens_s[mode], self.tokens_s[other], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
        return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def kinds_of(num_tokens: int, vocab_size: int) -> list[Kind]:
    greedy = SamplingParams(temperature=0.0, max_tokens=num_tokens, ignore_eos=True)
    drawn = dataclasses.replace(greedy, temperature=1.0, seed=7)
    draw = random.Random(3)
    prompt = [draw.randrange(10, vocab_size - 10) for _ in range(60)]
    known = [Kind(f"{share:.2f} of the guesses right", "Once upon a time", greedy, Knowing(share)) for share in SHARES]
    return [
        *known,
        Kind("a text that repeats itself", REPEATING, dataclasses.replace(drawn, grammar=GRAMMAR), LookupDrafter()),
        Kind("random prompt, temperature 1", prompt, drawn, LookupDrafter()),
        Kind(
            "a story, temperature 0.8", "Once upon a time", dataclasses.replace(drawn, temperature=0.8), LookupDrafter()
        ),
    ]


SHARES = (1.0, 0.9, 0.7, 0.3)


def set_mode(coordinator: CoordinatorService, mode: str, drafter: Drafter, max_runs: int) -> None:
    """Nothing is under way."""
    scheduler = coordinator._engine._scheduler
    limits = dataclasses.replace(scheduler._limits, max_runs=max_runs if mode == "several" else 1)
    scheduler._limits = scheduler.speculation._limits = limits
    scheduler.speculation._drafter = None if mode == "off" else drafter
    scheduler.speculation._chain_of = None


def measure(kind: Kind, mode: str, client: cluster.Client, *, counts: bool) -> Completion:
    found = client.generate(kind.prompt, kind.params)
    if counts:
        timings = found.timings
        kind.tokens_s[mode].append((timings.num_tokens - 1) / timings.decode_ms * 1e3)
        told = (timings.num_drafted, timings.num_accepted, timings.num_dropped_runs)
        kind.told[mode] = [before + now for before, now in zip(kind.told[mode], told, strict=True)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="demo")
    parser.add_argument("--delay-ms", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one-process", action="store_true", help="of all stages: for a machine that is busy")
    parser.add_argument("--kinds", type=int, nargs="*", help="numbers of the kinds of texts, from 0 (default: all)")
    options = parser.parse_args()
    path = Path(model_path()) if options.model == "demo" else synthetic_model(options.model, print)
    switched = Switched()
    abilities.LookupDrafter = lambda: switched  # type: ignore[assignment, misc]
    settings = {"ctx_size": options.tokens + 128, "parallel": 1, "draft": "ngram", "threads": options.threads}
    far = far_cluster(path, NUM_STAGES, options.delay_ms / 1e3, one_process=options.one_process, **settings)
    with far as (coordinator, address), cluster.connect(address, SECRET.for_clients.text) as client:
        kinds = kinds_of(options.tokens, client.status().vocab_size)
        kinds = [kinds[place] for place in options.kinds] if options.kinds else kinds
        max_runs = coordinator._engine._scheduler._limits.max_runs
        for place in range(-1, options.rounds):  # the first round warms up
            for kind in kinds:
                switched.used = kind.drafter
                first = max(place, 0) % len(MODES)
                texts: dict[str, tuple[int, ...]] = {}
                for mode in (*MODES[first:], *MODES[:first]) if place >= 0 else MODES:
                    set_mode(coordinator, mode, switched, max_runs)
                    found = measure(kind, mode, client, counts=place >= 0)
                    texts[mode] = tuple(found.token_ids)
                    print(f"  {kind.name}, {mode}: {found.timings.decode_ms / 1e3:.1f} s", flush=True)
                if isinstance(kind.drafter, Knowing):
                    kind.drafter.text = texts["off"]
                kind.num_other += sum(text != texts["off"] for text in texts.values())
            print(f"round {place + 1} of {options.rounds}", flush=True)
    print(f"{options.model}, {NUM_STAGES} stages, {options.delay_ms} ms each way, {options.tokens} tokens a text")
    print("| text | off, tok/s | one at a time | several | to one | to off | guessed/right/dropped | other |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in kinds:
        print(kind.line)


if __name__ == "__main__":
    main()
