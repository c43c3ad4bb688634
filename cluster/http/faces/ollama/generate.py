"""POST /api/generate."""

from __future__ import annotations

from cluster.chat.messages import ChatRequest, Message, Role
from cluster.chat.pictures import joined_parts
from cluster.http.faces.face import Asked, AtOnce, Body, Problem, RawRequest, Served
from cluster.http.faces.fields import Fields
from cluster.http.faces.ollama.encoder import OllamaEncoder, as_response, loaded
from cluster.http.faces.ollama.images import images_of
from cluster.http.faces.ollama.options import format_of, is_unload, params_of, thinking_of

REFUSED = {
    "suffix": "text is not filled in between two others here; leave it out",
    "template": "a template is code, which a request cannot bring; start the server with it",
    "context": "no state is kept here; give what was said before as messages, to /api/chat",
}


class OllamaGenerateFace:
    """Translates requests: a prompt is a message of the user's, unless it is `raw`."""

    def parse(self, body: Body, served: Served, request_id: str) -> Asked | AtOnce:
        """UsageError for a wrong value. Without a prompt the model is only to be loaded, or unloaded: it stays."""
        if not body.get("prompt"):
            return AtOnce(loaded(served.alias, as_response, is_unload(body)))
        fields = Fields(body)
        fields.skip("model", "keep_alive")
        for name, why in REFUSED.items():
            if fields.any(name):
                raise fields.wrong(name, why)
        ignored: list[str] = []
        request = _request(fields, ignored)
        pieces = served.vocabulary.pieces if fields.flag("logprobs") else None
        encoder = OllamaEncoder(served.alias, as_response, pieces)
        return Asked(request, fields.flag("stream", True), encoder, (*fields.unread(), *ignored))

    def error(self, problem: Problem) -> Body:
        return {"error": problem.message}


def _request(fields: Fields, ignored: list[str]) -> ChatRequest | RawRequest:
    prompt, params, images = fields.text("prompt"), params_of(fields, ignored), images_of(fields)
    if fields.flag("raw"):
        if images:
            raise fields.wrong("images", "a raw prompt has no places for them; leave raw out")
        return RawRequest((prompt,), params)
    system = fields.text("system")
    before = (Message(Role.SYSTEM, system),) if system else ()
    content, pictures = joined_parts([*images, prompt])
    return ChatRequest(
        (*before, Message(Role.USER, content, pictures=pictures)),
        params,
        response_format=format_of(fields),
        template_arguments=thinking_of(fields),
    )
