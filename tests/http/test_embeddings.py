"""Vectors of texts over HTTP, as the SDKs ask for them: of a model that is made for it, in two stages."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ollama
import openai
import pytest

from cluster.client.sync import Client
from tests.http.serving import Served, serving
from tests.native.slice.test_embedding import llama_embedding
from tests.native.tiny_encoder import write_encoder
from tests.native.tiny_model import TinyModel, write_model

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance
MEAN, CLS, LAST, RANK = 1, 2, 3, 4
LONG = " ".join(["a longer text, of which several chunks are made,"] * 3)


def assert_close(found: Any, expected: Any) -> None:
    """The cosine is 1 but for rounding: chunks differ, and the cache is in f16."""
    found, expected = np.atleast_2d(found), np.atleast_2d(expected)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert (np.sum(found * expected, axis=1) > 0.9999 * lengths).all()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("embedding") / "tiny-embedding.gguf", TinyModel(), pooling=LAST)


@pytest.fixture(scope="module")
def embedding(slice_cache: None, model: Path) -> Iterator[Served]:
    with serving(model=str(model), context_length=256) as found:
        yield found


@pytest.fixture
def sdk(embedding: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{embedding.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def client(embedding: Served) -> Iterator[Client]:
    with Client(embedding.endpoint) as found:
        yield found


def test_vectors_are_what_libllama_makes_of_the_whole_model(client: Client, model: Path) -> None:
    for text in ("the cat", LONG):
        tokens = client.tokenize(text)
        for pooling, number in (("mean", MEAN), ("cls", CLS), ("last", LAST)):
            found = client.embed(text, pooling=pooling, normalize=False)
            expected = llama_embedding(model, number, tokens)
            assert_close(found.vectors[0], expected)
            assert found.num_prompt_tokens == (len(tokens),)
    np.testing.assert_array_equal(client.embed(LONG).vectors, client.embed(LONG, pooling="last").vectors)


def test_one_text_and_many_are_answered_in_order(client: Client) -> None:
    texts = [f"text {n} " * (n % 7 + 1) for n in range(40)]
    many = client.embed(texts)
    assert many.vectors.shape == (40, 64)
    np.testing.assert_allclose(np.linalg.norm(many.vectors, axis=1), 1, rtol=1e-6)
    for index in (0, 17, 39):
        assert_close(client.embed(texts[index]).vectors[0], many.vectors[index])
    short = client.embed(texts[:2], dimensions=8).vectors
    plain = client.embed(texts[:2], normalize=False).vectors[:, :8]
    assert_close(short, plain / np.linalg.norm(plain, axis=1, keepdims=True))


@conformance(row=50, client="openai")
def test_the_openai_sdk_gets_both_formats(sdk: openai.OpenAI, client: Client) -> None:
    texts = ["the cat", "a dog"]
    expected = client.embed(texts)
    plain = sdk.embeddings.create(model="any", input=texts, encoding_format="float")
    packed = sdk.embeddings.create(model="any", input=texts)  # base64, by the SDK's own choice
    for answer in (plain, packed):
        assert [one.index for one in answer.data] == [0, 1]
        assert_close([one.embedding for one in answer.data], expected.vectors)
        assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(expected.num_prompt_tokens)
        assert answer.model == "demo"
    ids = client.tokenize(texts[0])
    for given in (ids, [ids]):
        answer = sdk.embeddings.create(model="any", input=given, encoding_format="float")
        assert_close(answer.data[0].embedding, expected.vectors[0])
    assert len(sdk.embeddings.create(model="any", input="a", dimensions=16).data[0].embedding) == 16


@conformance(row=50, client="curl")
def test_base64_is_float32_with_the_low_byte_first(embedding: Served, client: Client) -> None:
    answer = embedding.post("/embeddings", {"input": "the cat", "encoding_format": "base64"}).json()
    found = np.frombuffer(base64.b64decode(answer["data"][0]["embedding"]), "<f4")
    assert_close(found, client.embed("the cat").vectors[0])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": [1, "a"]}, "input[0]"),
        ({"input": {"a": 1}}, "input"),
        ({"input": ""} | {"dimensions": 65}, "dimensions"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": ["a"] * 2049}, "input"),
    ],
)
def test_a_wrong_value_is_named(embedding: Served, body: object, param: str) -> None:
    answer = embedding.post("/v1/embeddings", body)
    assert answer.status == 400, answer.content
    assert answer.json()["error"]["param"] == param


def test_a_text_that_is_too_long_is_refused_as_a_prompt_is(embedding: Served) -> None:
    answer = embedding.post("/v1/embeddings", {"input": "long " * 300})
    assert (answer.status, answer.json()["error"]["code"]) == (400, "context_length_exceeded")


@conformance(row=50, client="ollama-py")
def test_ollamas_client_gets_vectors(embedding: Served, client: Client) -> None:
    with ollama.Client(host=embedding.url) as api:
        _check_ollama(api, client)


def _check_ollama(api: ollama.Client, client: Client) -> None:
    expected = client.embed(["the cat", "a dog"])
    answer = api.embed(model="any", input=["the cat", "a dog"])
    assert_close(answer.embeddings, expected.vectors)
    assert api.show("any").capabilities == ["embedding"]
    assert answer.prompt_eval_count == sum(expected.num_prompt_tokens)
    one = np.array(api.embeddings(model="any", prompt="the cat").embedding)
    assert_close(one / np.linalg.norm(one), expected.vectors[0])
    with pytest.raises(ollama.ResponseError, match="dimensions: 99; the model's vectors have 64"):
        api.embed(model="any", input="a", dimensions=99)


def test_texts_beside_vectors_are_what_they_are_alone(embedding: Served, client: Client) -> None:
    alone = client.generate("the cat", seed=3, max_tokens=40, ignore_eos=True).token_ids
    stream = client.stream("the cat", seed=3, max_tokens=40, ignore_eos=True)
    tokens = [next(iter(stream)).token]
    client.embed([LONG] * 12, pooling="mean")
    tokens += [event.token for event in stream]
    assert tuple(token for token in tokens if token is not None) == alone
    embedding.wait_idle()


@conformance(row=50, client="curl")
def test_a_model_for_text_names_others(served: Served) -> None:
    answer = served.post("/v1/embeddings", {"input": "a"})
    assert answer.status == 501
    assert answer.json()["error"]["type"] == "not_supported_error"
    assert "Qwen3-Embedding" in answer.json()["error"]["message"]
    assert "--embeddings" in answer.json()["error"]["message"]


def test_a_model_for_text_embeds_where_the_cluster_was_told_to(slice_cache: None) -> None:
    with serving(num_stages=1, embeddings=True) as found, Client(found.endpoint) as client:
        vectors = client.embed(["Once upon a time", "Lily"]).vectors
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
        assert client.generate("Once", max_tokens=3).token_ids


@pytest.mark.parametrize("architecture", ["bert", "nomic-bert"])
def test_an_encoder_is_served_whole(slice_cache: None, tmp_path: Path, architecture: str) -> None:
    path = write_encoder(tmp_path / "encoder.gguf", pooling=MEAN, architecture=architecture)
    with serving(model=str(path), num_stages=1, context_length=128) as found, Client(found.endpoint) as client:
        texts = [f"the cat {'a' * n} the dog." for n in range(1, 20)]
        vectors = client.embed(texts, normalize=False)
        for text, vector in zip(texts[::6], vectors.vectors[::6], strict=True):
            tokens = client.tokenize(text)
            assert (tokens[0], tokens[-1]) == (2, 3)
            np.testing.assert_allclose(vector, llama_embedding(path, MEAN, tokens), rtol=1e-4, atol=1e-5)
        first = client.embed(texts[0], pooling="cls", normalize=False).vectors[0]
        tokens = client.tokenize(texts[0])
        np.testing.assert_allclose(first, llama_embedding(path, CLS, tokens), rtol=1e-4, atol=1e-5)
        # Which of them are computed together is a matter of time, and their last bits one of that.
        single = client.embed([[7], [9], [11], [7]]).vectors
        np.testing.assert_allclose(single[0], single[3], rtol=1e-2, atol=1e-3)
        assert np.abs(single[0] - single[1]).max() > 0.01
        answer = found.post("/v1/completions", {"prompt": "the cat", "max_tokens": 3})
        assert answer.status == 501
        assert "gives embeddings, no text" in answer.json()["error"]["message"]
        too_long = found.post("/v1/embeddings", {"input": ["the cat", "a " * 90]})
        assert too_long.status == 400
        assert "reads a text whole, of at most 64" in too_long.json()["error"]["message"]
        assert found.post("/v1/embeddings", {"input": "the cat"}).status == 200


def test_documents_are_ranked_by_the_models_own_head(slice_cache: None, tmp_path: Path, served: Served) -> None:
    path = write_encoder(tmp_path / "encoder.gguf", pooling=RANK, ranks=True)
    query, documents = "the cat", ["a dog.", "the cat", "cats, dogs?", "b"]
    with serving(model=str(path), num_stages=1, context_length=128) as found, Client(found.endpoint) as client:
        expected = []
        for document in documents:
            first, second = (client.tokenize(text, add_special=False) for text in (query, document))
            expected.append(llama_embedding(path, RANK, [2, *first, 3, *second, 3])[0])
        ranking = client.rerank(query, documents)
        np.testing.assert_allclose(ranking.scores, expected, rtol=1e-4, atol=1e-5)
        best = sorted(range(4), key=lambda index: -expected[index])
        bodies: list[dict[str, Any]] = [
            {"query": query, "documents": documents, "top_n": 3},
            {"query": query, "documents": [{"text": one} for one in documents], "return_documents": True},
        ]
        for body in bodies:
            answer = found.post("/v1/rerank", body).json()
            wanted = best[: body.get("top_n", 4)]
            assert [one["index"] for one in answer["results"]] == wanted
            assert answer["usage"]["prompt_tokens"] == sum(ranking.num_prompt_tokens)
            scores = [one["relevance_score"] for one in answer["results"]]
            np.testing.assert_allclose(scores, np.array(expected)[wanted], rtol=1e-4, atol=1e-5)
        assert answer["results"][0]["document"] == {"text": documents[best[0]]}
        plain = found.post("/rerank", {"query": query, "texts": documents}).json()
        assert [one["index"] for one in plain] == best
        refused = found.post("/v1/embeddings", {"input": "a"})
        assert (refused.status, "scores of documents only" in refused.json()["error"]["message"]) == (501, True)
        wrong: list[tuple[Any, str]] = [
            ({"documents": ["a"]}, "query"),
            ({"query": "a", "documents": [3]}, "documents[0]"),
        ]
        for given, param in wrong:
            answer = found.post("/v1/rerank", given)
            assert (answer.status, answer.json()["error"]["param"]) == (400, param)
    other = served.post("/v1/rerank", {"query": query, "documents": documents})
    assert other.status == 501
    assert "bge-reranker" in other.json()["error"]["message"]
