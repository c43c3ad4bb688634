"""Texts that follow grammars, from the demo model over real stages."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from cluster.api.errors import ClusterError
from cluster.api.results import Completion
from cluster.api.sampling import SamplingParams
from cluster.client.sync import Client

Outcome = Completion | ClusterError


def at_once(client: Client, prompts: Sequence[str], params: Sequence[SamplingParams]) -> list[Outcome]:
    """What becomes of all of them, asked by a thread each."""
    found: list[Outcome | None] = [None] * len(prompts)

    def ask(place: int) -> None:
        found[place] = outcome_of(client, prompts[place], params[place])

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [outcome for outcome in found if outcome is not None]


def outcome_of(client: Client, prompt: str, params: SamplingParams) -> Outcome:
    try:
        return client.generate(prompt, params)
    except ClusterError as error:
        return error


def text_of(outcome: Outcome) -> str:
    """Its text, which must have ended by itself."""
    assert isinstance(outcome, Completion), outcome
    assert outcome.finish_reason == "stop", (outcome.finish_reason, outcome.text)
    return outcome.text
