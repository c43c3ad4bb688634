"""A model over three hosts says what the whole model says, to every host."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import accumulate

import numpy as np
import pytest

from cluster.demo import model_path
from tests.net.conftest import CONTEXT
from tests.net.hosts import Host
from tests.net.together import Together
from tests.reference import WholeModel

NUM_TOKENS = 64
PROMPTS = ["Once upon a time", "x", "The rabbit was sad because", "\n\n", "émile 走る", "One day, Tom lost his ball"]
GREEDY = f"""
params = cluster.SamplingParams(temperature=0.0, max_tokens={NUM_TOKENS})
answer = []
for prompt in arguments[0]:
    said = client.generate(prompt, params)
    answer.append([client.tokenize(prompt), list(said.token_ids), said.text == client.detokenize(said.token_ids)])
"""
LOGITS = """
import hashlib
from cluster.bench.measure import recorded_steps
from cluster.bench.steps import newest_step, steps_after
answer = []
for tokens in arguments[0]:
    mark = newest_step(recorded_steps(client))
    digest = hashlib.sha256(client.logits(tokens).tobytes()).hexdigest()
    chunks = [step.num_rows for step in steps_after(recorded_steps(client), mark) if step.stage == 0]
    answer.append([digest, chunks])
"""
TOGETHER = """
from concurrent.futures import ThreadPoolExecutor
params = cluster.SamplingParams(temperature=0.0, max_tokens=48)
alone = [client.generate(prompt, params).token_ids for prompt in arguments[0]]
with ThreadPoolExecutor(len(alone)) as threads:
    together = list(threads.map(lambda prompt: client.generate(prompt, params).token_ids, arguments[0]))
answer = alone == together
"""


@pytest.fixture(scope="module")
def whole() -> Iterator[WholeModel]:
    model = WholeModel(model_path(), CONTEXT)
    yield model
    model.close()


def test_every_stage_is_on_a_host_of_its_own(three_hosts_up: Together) -> None:
    placed = three_hosts_up.ask("answer = [stage.node for stage in client.status().stages]")
    assert sorted(placed) == ["one", "three", "two"]


@pytest.mark.parametrize("number", [1, 3])
def test_greedy_text_equals_the_whole_model(three_hosts_up: Together, whole: WholeModel, number: int) -> None:
    answer = three_hosts_up.ask(GREEDY, PROMPTS, host=three_hosts_up.hosts[number])
    for prompt, (tokens, said, same_text) in zip(PROMPTS, answer, strict=True):
        assert said == whole.greedy(tokens, NUM_TOKENS), prompt
        assert same_text, prompt


def test_logits_equal_the_whole_model_bit_for_bit(three_hosts_up: Together, whole: WholeModel) -> None:
    """In the chunks in which the cluster took them: how many rows are computed at once decides the last bits."""
    sizes = (1, 2, 7, 64, 200)
    asked = [np.random.default_rng(size).integers(0, whole.vocab_size, size).tolist() for size in sizes]
    for tokens, (digest, chunks) in zip(asked, three_hosts_up.ask(LOGITS, asked), strict=True):
        assert sum(chunks) == len(tokens)
        whole.reset()
        ends = list(accumulate(chunks))
        rows = [whole.forward(tokens[end - size : end]) for size, end in zip(chunks, ends, strict=True)]
        assert digest == hashlib.sha256(np.concatenate(rows).tobytes()).hexdigest(), len(tokens)


def test_streams_say_together_what_each_says_alone(three_hosts_up: Together) -> None:
    prompts = ["Once upon a time", "One day, ", "The rabbit was sad", "x", "Tom lost his ball", "\n", "a a a", "In a"]
    assert three_hosts_up.ask(TOGETHER, prompts)


def test_every_node_can_use_the_command_line(three_hosts_up: Together) -> None:
    texts = set()
    for host in three_hosts_up.nodes:
        done = host.run("cluster", "run", "--temp", "0", "-n", "20", "Once upon a time")
        assert done.returncode == 0, done.stderr
        texts.add(done.stdout)
    assert len(texts) == 1


def nodes_said(host: Host) -> str:
    done = host.run("cluster", "nodes")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_nodes_are_listed(three_hosts_up: Together) -> None:
    lines = nodes_said(three_hosts_up.head).splitlines()[1:]
    assert sorted(line.split()[0] for line in lines) == ["one", "three", "two"]
    assert all("ready" in line for line in lines), lines
