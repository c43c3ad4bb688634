"""What `cluster bench` compares with computes the same as llama.cpp asked row by row: no rival is slow by mistake."""

from __future__ import annotations

import numpy as np
import pytest

from cluster.bench.peers.commands import WholeOrders
from cluster.bench.peers.native import Model
from cluster.bench.workload import Workload, random_prompt, workload_prompts
from cluster.demo import model_path
from tests.reference import WholeModel

CONTEXT_LENGTH = 768


@pytest.fixture(scope="module")
def peer() -> Model:
    return Model(WholeOrders(str(model_path()), CONTEXT_LENGTH, num_slots=4, num_threads=1, ubatch_size=64))


def test_streams_of_one_batch_are_those_of_single_rows(peer: Model) -> None:
    firsts = [prompt[0] for prompt in workload_prompts(Workload("tg", 8, 4), peer.vocab_size, run=3)]
    peer.clear()
    peer.begin_streams(4)
    steps = [np.array(firsts)]
    for position in range(8):
        steps.append(peer.step(steps[-1], position))
    whole = WholeModel(model_path(), CONTEXT_LENGTH)
    for stream, first in enumerate(firsts):
        wanted = whole.greedy([first], 8)
        assert [int(step[stream]) for step in steps[1:]][: len(wanted)] == wanted
    whole.close()


def test_a_prompt_of_several_microbatches(peer: Model) -> None:
    prompt = random_prompt(peer.vocab_size, 300, seed=1)
    peer.clear()
    found = peer.prefill(2, prompt)
    whole = WholeModel(model_path(), CONTEXT_LENGTH)
    assert found == whole.greedy(prompt, 1)[0]
    whole.close()
