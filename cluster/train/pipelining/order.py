"""The order of one stage's work: pure."""

from __future__ import annotations

from collections.abc import Iterator

FORWARD, BACKWARD = "F", "B"


def one_forward_one_backward(stage: int, num_stages: int, num_microbatches: int) -> Iterator[tuple[str, int]]:
    """What stage `stage` does, with which microbatch: 1F1B, of Narayanan et al., 2021, "Efficient Large-Scale Language
    Model Training on GPU Clusters", figure 4 (above).

    A stage goes ahead by as many forwards as there are stages behind it, so that it holds at most `num_stages - stage`
    microbatches, however many there are.
    """
    num_ahead = min(num_stages - stage - 1, num_microbatches)
    for number in range(num_ahead):
        yield FORWARD, number
    for number in range(num_ahead, num_microbatches):
        yield FORWARD, number
        yield BACKWARD, number - num_ahead
    for number in range(num_microbatches - num_ahead, num_microbatches):
        yield BACKWARD, number
