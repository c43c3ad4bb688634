"""Documents in the order of their scores, as llama-server, Jina and Cohere are asked for them, and as TEI is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.api.embedding import Ranking
from cluster.http.faces.embeddings import prompt_usage
from cluster.http.faces.face import Body
from cluster.http.faces.fields import Fields, described
from cluster.http.limits import MAX_EMBEDDINGS


@dataclass(frozen=True, slots=True)
class RerankAsked:
    """What was asked for. `is_plain`: the answer is a list of scores, as TEI gives one."""

    query: str
    documents: tuple[str, ...]
    num_wanted: int
    returns_documents: bool
    is_plain: bool
    ignored: tuple[str, ...]  # names of fields that mean nothing here


def rerank_asked(body: Body) -> RerankAsked:
    """UsageError that begins with the field's name."""
    fields = Fields(body)
    fields.skip("model")
    is_plain = fields.any("texts") is not None
    name = "texts" if is_plain else "documents"
    query, given = fields.text("query"), fields.items(name)
    if not query:
        raise fields.wrong("query", "there is none; give a text")
    if not given:
        raise fields.wrong(name, "there are none; give a list of texts")
    if len(given) > MAX_EMBEDDINGS:
        raise fields.wrong(name, f"{len(given)} of them; give at most {MAX_EMBEDDINGS}")
    documents = tuple(_document(fields, f"{name}[{place}]", one) for place, one in enumerate(given))
    num_wanted = fields.whole("top_n", len(documents))
    if num_wanted is None or num_wanted < 1:
        raise fields.wrong("top_n", f"{num_wanted}; give 1 or more")
    returns = fields.flag("return_text") if is_plain else fields.flag("return_documents")
    return RerankAsked(query, documents, num_wanted, returns, is_plain, fields.unread())


def rerank_answer(asked: RerankAsked, found: Ranking, model: str) -> Body | list[dict[str, Any]]:
    """The best documents first."""
    scores: list[float] = found.scores.tolist()
    best = sorted(range(len(scores)), key=lambda index: -scores[index])[: asked.num_wanted]
    if asked.is_plain:
        texts = [{"text": asked.documents[index]} if asked.returns_documents else {} for index in best]
        return [{"index": index, "score": scores[index], **text} for index, text in zip(best, texts, strict=True)]
    results: list[dict[str, Any]] = [{"index": index, "relevance_score": scores[index]} for index in best]
    if asked.returns_documents:
        results = [
            {**one, "document": {"text": asked.documents[index]}} for one, index in zip(results, best, strict=True)
        ]
    return {"model": model, "object": "list", "usage": prompt_usage(found.num_prompt_tokens), "results": results}


def _document(fields: Fields, name: str, value: Any) -> str:
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise fields.wrong(name, f"{described(text)}; give a text, or an object with one in `text`")
    return text
