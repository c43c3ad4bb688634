"""LoRA adapters by request: each text is that of the whole model with its scales, whatever runs beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

import cluster
from cluster.api.errors import UsageError
from cluster.client.sync import Client
from cluster.http.settings import HttpSettings
from cluster.sources.adapter import find_adapter
from tests.fakes.adapters import matrices_of, write_adapter
from tests.fakes.opened import opened
from tests.http.serving import Served, asked, serving
from tests.native.tiny_model import TinyModel, write_model
from tests.reference import WholeModel

CONTEXT = 256
NUM_TOKENS = 24
PROMPTS = ("the cat", "the", " on the mat, and then")
# Of two adapters: as the cluster was started, and others. libllama adds two in no certain order, so that one is 0.
STARTED = (0.75, 0.0)
SCALES = ((0.0, 0.0), (1.5, 0.0), (0.0, -1.0), STARTED)
GREEDY = cluster.SamplingParams(temperature=0.0, max_tokens=NUM_TOKENS)
LONG = [3 + place * 7 % 40 for place in range(64)]


@dataclass(frozen=True)
class Files:
    model: Path
    adapters: tuple[Path, Path]

    def greedy(self, prompts: Sequence[list[int]], scales: Sequence[float]) -> list[list[int]]:
        """What the whole model says with these scales, by llama_cpp."""
        given = [(path, scale) for path, scale in zip(self.adapters, scales, strict=True) if scale]
        whole = WholeModel(self.model, CONTEXT, adapters=given)
        found = [whole.greedy(prompt, NUM_TOKENS) for prompt in prompts]
        whole.close()
        return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("adapted")
    model = write_model(folder / "tiny.gguf", TinyModel())
    one = write_adapter(folder / "one.gguf", model)
    # The second has nothing for the first of two stages, so that stages differ in what they have loaded.
    of_last = {name: values for name, values in matrices_of(model, rank=2, seed=1).items() if "blk.0." not in name}
    return Files(model, (one, write_adapter(folder / "other.gguf", model, of_last)))


@pytest.fixture(scope="module")
def adapted(slice_cache: None, files: Files) -> Iterator[Served]:
    model = opened(files.model).model
    told = tuple(find_adapter(f"{path}:{scale}", model) for path, scale in zip(files.adapters, STARTED, strict=True))
    with serving(model=str(files.model), context_length=CONTEXT, adapters=told) as found:
        yield found


@pytest.fixture(scope="module")
def expected(files: Files, adapted: Served) -> dict[tuple[float, ...], list[list[int]]]:
    """The tokens of each prompt by scales, and of LONG as the last one; they differ from one another."""
    with Client(adapted.endpoint) as client:
        prompts = [*(client.tokenize(prompt) for prompt in PROMPTS), LONG]
    found = {scales: files.greedy(prompts, scales) for scales in SCALES}
    assert len({str(tokens) for tokens in found.values()}) == len(SCALES)
    return found


def lora_of(scales: Sequence[float]) -> dict[int, float]:
    return dict(enumerate(scales))


def objects(scales: Sequence[float]) -> list[dict[str, float]]:
    return [{"id": number, "scale": scale} for number, scale in enumerate(scales)]


def test_without_the_field_a_text_has_the_scales_of_the_start(adapted: Served, expected: dict[Any, Any]) -> None:
    with Client(adapted.endpoint) as client:
        assert [list(client.generate(prompt, GREEDY).token_ids) for prompt in PROMPTS] == expected[STARTED][:-1]


def test_an_adapter_that_is_left_out_counts_nothing(adapted: Served, expected: dict[Any, Any]) -> None:
    with Client(adapted.endpoint) as client:
        for lora, scales in (({0: 1.5}, (1.5, 0.0)), ({1: -1.0}, (0.0, -1.0)), ({1: 0}, (0.0, 0.0))):
            assert list(client.generate(PROMPTS[0], GREEDY, lora=lora).token_ids) == expected[scales][0]


def test_requests_with_other_scales_that_run_together_are_each_as_alone(
    adapted: Served, expected: dict[Any, Any]
) -> None:
    """Four at a time, in two stages: with three sets of scales, and with none."""
    wanted = [(place, scales) for _ in range(3) for place in range(len(PROMPTS)) for scales in SCALES]

    def ask(one: tuple[int, tuple[float, ...]]) -> list[int]:
        place, scales = one
        lora = {} if scales == STARTED else lora_of(scales)
        return list(client.generate(PROMPTS[place], GREEDY, lora=lora).token_ids)

    with Client(adapted.endpoint) as client, ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ask, wanted))
    assert found == [expected[scales][place] for place, scales in wanted]


def test_what_was_computed_with_other_scales_is_not_reused(adapted: Served, expected: dict[Any, Any]) -> None:
    with Client(adapted.endpoint) as client:
        for num_reused in (0, len(LONG) - 1):
            for scales in SCALES:
                lora = {} if scales == STARTED else lora_of(scales)
                found = client.generate(LONG, GREEDY, max_tokens=8, lora=lora)
                assert found.timings.num_cached_tokens == num_reused
                assert list(found.token_ids) == expected[scales][-1][:8]


@pytest.mark.parametrize("path", ["/completion", "/v1/completions"])
def test_choices_of_one_prompt_have_its_scales(adapted: Served, expected: dict[Any, Any], path: str) -> None:
    with Client(adapted.endpoint) as client:
        text = client.detokenize(expected[(1.5, 0.0)][-1])
    body = {"prompt": LONG, "max_tokens": NUM_TOKENS, "temperature": 0, "n": 2, "lora": objects((1.5, 0.0))}
    answer = adapted.post(path, body).json()
    texts = [one["content"] for one in answer] if path == "/completion" else [one["text"] for one in answer["choices"]]
    assert texts == [text, text]
    if path == "/completion":
        assert answer[0]["generation_settings"]["lora"] == objects((1.5, 0.0))


CHAT = [{"role": "user", "content": "the cat"}]


@pytest.mark.parametrize(
    ("path", "body", "text_of"),
    [
        ("/v1/chat/completions", {"messages": CHAT, "max_tokens": 16}, lambda a: a["choices"][0]["message"]["content"]),
        ("/v1/responses", {"input": CHAT, "max_output_tokens": 16}, lambda a: a["output"][0]["content"][0]["text"]),
        ("/v1/messages", {"messages": CHAT, "max_tokens": 16}, lambda a: a["content"][0]["text"]),
    ],
)
def test_chats_take_it_too(adapted: Served, path: str, body: dict[str, Any], text_of: Any) -> None:
    settings = HttpSettings(port=0, chat_template="{% for message in messages %}{{ message.content }}{% endfor %}")
    with serving(settings, cluster=adapted) as found, Client(adapted.endpoint) as client:
        answers = {}
        for scales in ((1.5, 0.0), (0.0, -1.0)):
            answer = found.post(path, body | {"temperature": 0, "lora": objects(scales)})
            assert answer.status == 200, answer.content
            answers[scales] = text_of(answer.json())
            alone = client.generate("the cat", GREEDY, max_tokens=16, lora=lora_of(scales)).text
            assert answers[scales] in (alone, alone.lstrip(), alone.strip())
        assert len(set(answers.values())) == 2


@pytest.mark.parametrize(
    ("lora", "param", "why"),
    [
        ([{"id": 2, "scale": 1}], "lora", "there is no adapter 2; give ids from 0 to 1"),
        ([{"id": -1, "scale": 1}], "lora[0].id", "-1 is out of range"),
        ([{"id": 64, "scale": 1}], "lora[0].id", "64 is out of range"),
        ([{"id": 0, "scale": 1}, {"id": 0, "scale": 1}], "lora[1].id", "0 is there twice"),
        ([{"id": "0", "scale": 1}], "lora[0].id", "'0' is not a whole number"),
        ([{"id": 0.5, "scale": 1}], "lora[0].id", "0.5 is not a whole number"),
        ([{"id": True, "scale": 1}], "lora[0].id", "True is not a whole number"),
        ([{"scale": 1}], "lora[0].id", "None is not a whole number"),
        ([{"id": 1}], "lora[0].scale", "None is not a number"),
        ([{"id": 1, "scale": "1"}], "lora[0].scale", "'1' is not a number"),
        ([{"id": 1, "scale": False}], "lora[0].scale", "False is not a number"),
        ([{"id": 1, "scale": 1e300}], "lora[0].scale", "1e+300 is out of range"),
        ([{"id": 1, "scale": 10**40}], "lora[0].scale", "is out of range"),
        ([0.5], "lora[0]", "is a number; give an object"),
        ({"id": 0, "scale": 1}, "lora", "is an object; give a list"),
        ("one", "lora", "is a string; give a list"),
        ([{"id": 0, "scale": 1}] * 65, "lora[1].id", "0 is there twice"),
    ],
    ids=str,
)
def test_what_is_no_list_of_scales_is_named(adapted: Served, lora: Any, param: str, why: str) -> None:
    for path in ("/completion", "/v1/completions"):
        refused = adapted.post(path, {"prompt": "the", "max_tokens": 2, "lora": lora})
        error = refused.json()["error"]
        assert (refused.status, error["param"]) == (400, param), refused.content
        assert why in error["message"]
    refused = adapted.post("/lora-adapters", lora)
    assert refused.status == 400
    assert (why if isinstance(lora, list) else "body: it is no JSON list") in refused.json()["error"]["message"]
    assert adapted.get("/lora-adapters").json()[0]["scale"] == STARTED[0]


@pytest.mark.parametrize("body", [b'[{"id": 0, "scale": NaN}]', b'[{"id": 0, "scale": Infinity}]', b"[", b""])
def test_what_is_no_json_is_refused(adapted: Served, body: bytes) -> None:
    refused = asked(adapted.url, "POST", "/lora-adapters", body)
    assert refused.status == 400
    assert "body: it is no JSON" in refused.json()["error"]["message"]


def test_new_scales_are_for_all_that_come_from_now_on(adapted: Served, expected: dict[Any, Any]) -> None:
    assert adapted.get("/lora-adapters").json() == [
        {"id": 0, "path": "one.gguf", "scale": 0.75},
        {"id": 1, "path": "other.gguf", "scale": 0.0},
    ]
    with Client(adapted.endpoint) as client:
        try:
            with client.stream(PROMPTS[0], GREEDY) as running:
                events = [next(running)]
                answer = adapted.post("/lora-adapters", objects((0.0, -1.0)))
                assert (answer.status, answer.json()) == (200, {"success": True})
                after = client.generate(PROMPTS[0], GREEDY)
                events += list(running)
            assert [event.token for event in events if event.token is not None] == expected[STARTED][0]
            assert list(after.token_ids) == expected[(0.0, -1.0)][0]
            # Another HTTP server over the same cluster, as one that was started anew, has them too.
            with serving(HttpSettings(port=0), cluster=adapted) as other:
                assert [one["scale"] for one in other.get("/lora-adapters").json()] == [0.0, -1.0]
            assert [one.scale for one in client.adapters()] == [one.scale for one in client.model().adapters]
            own = client.generate(PROMPTS[0], GREEDY, lora={0: 0.75})
            assert list(own.token_ids) == expected[STARTED][0]
            assert adapted.post("/lora-adapters", []).status == 200
            assert list(client.generate(PROMPTS[0], GREEDY).token_ids) == expected[(0.0, 0.0)][0]
        finally:
            client.adapters(lora_of(STARTED))
        assert list(client.generate(PROMPTS[0], GREEDY).token_ids) == expected[STARTED][0]


def test_new_scales_need_the_key(adapted: Served) -> None:
    with serving(HttpSettings(port=0), keys=("right",), cluster=adapted) as found:
        assert asked(found.url, "POST", "/lora-adapters", b"[]").status == 401
        assert asked(found.url, "GET", "/lora-adapters").status == 401
        assert found.post("/lora-adapters", objects(STARTED)).status == 200


def test_a_step_with_another_number_of_scales_ends_its_request_and_no_other(
    adapted: Served, expected: dict[Any, Any]
) -> None:
    """As no coordinator of ours sends it."""
    outputs: Queue[Any] = Queue()
    with Client(adapted.endpoint) as client, client.stream(PROMPTS[0], GREEDY) as running:
        events = [next(running)]
        adapted.coordinator._engine.submit([1, 2, 3], GREEDY, outputs.put, scales=(1.0,))
        error = outputs.get(timeout=30)
        events += list(running)
    assert isinstance(error, UsageError)
    assert "scales: 1 of them; give one for each of 2 adapters" in str(error)
    assert [event.token for event in events if event.token is not None] == expected[STARTED][0]


def test_without_adapters_none_is_listed_and_none_can_be_asked_for(served: Served) -> None:
    assert served.get("/lora-adapters").json() == []
    assert served.post("/lora-adapters", []).status == 200
    for path, body in (
        ("/completion", {"prompt": "the", "lora": objects((1.0,))}),
        ("/lora-adapters", objects((1.0,))),
    ):
        refused = served.post(path, body)
        assert refused.status == 400
        assert "lora: the cluster has no adapters; leave it out" in refused.json()["error"]["message"]
    with Client(served.endpoint) as client, pytest.raises(UsageError, match="lora: the cluster has no adapters"):
        client.generate("the", lora={0: 1.0})
