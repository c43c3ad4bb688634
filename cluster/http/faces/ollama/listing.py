"""What Ollama's clients ask of the models that are there: there is one, and it is in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cluster.http.faces.face import Body, Served
from cluster.http.faces.ollama.encoder import rfc3339

LATEST = ":latest"
# For a model that stays: clients subtract the time of now from it.
NEVER = "9999-12-31T23:59:59Z"
# What is asked of models that are files of the server's own; ours came with its start.
REFUSED = ("pull", "push", "create", "copy", "delete")


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the chat template says that the model can do."""

    template: str = ""
    takes_tools: bool = False
    thinks: bool = False
    embeds: bool = False  # it was made for that

    def names(self) -> list[str]:
        if self.embeds:
            return ["embedding"]
        tools = ["tools"] if self.takes_tools else []
        return ["completion", *tools, *(["thinking"] if self.thinks else [])]


def tags(served: Served, since: datetime) -> Body:
    """GET /api/tags. `since`: when the model began to be served."""
    return {"models": [{**_listed(served), "modified_at": rfc3339(since)}]}


def running(served: Served) -> Body:
    """GET /api/ps. Where its tensors are is not told apart: all of it counts as being on devices."""
    model = served.model
    more = {"expires_at": NEVER, "size_vram": model.size_bytes, "context_length": model.context_length}
    return {"models": [{**_listed(served), **more}]}


def shown(served: Served, abilities: Abilities, since: datetime) -> Body:
    """POST /api/show."""
    model = served.model
    info = {
        **model.metadata,
        "general.architecture": model.architecture,
        "general.parameter_count": model.num_parameters,
        f"{model.architecture}.context_length": model.context_length_train,
        f"{model.architecture}.embedding_length": model.hidden_width,
    }
    return {
        "modelfile": "",
        "parameters": f"num_ctx                        {model.context_length}",
        "template": abilities.template,
        "details": _details(served),
        "model_info": info,
        "capabilities": abilities.names(),
        "modified_at": rfc3339(since),
    }


def refusal(name: str) -> str:
    """Why one of REFUSED is not to be had."""
    return f"{name}: the model of this server is chosen when it starts; start it with another one"


def _listed(served: Served) -> dict[str, object]:
    name = served.alias if ":" in served.alias else served.alias + LATEST
    model = served.model
    return {
        "name": name,
        "model": name,
        "size": model.size_bytes,
        "digest": model.hash,
        "details": _details(served),
    }


def _details(served: Served) -> dict[str, object]:
    model = served.model
    return {
        "parent_model": "",
        "format": "gguf",
        "family": model.architecture,
        "families": [model.architecture],
        "parameter_size": _parameter_size(model.num_parameters),
        "quantization_level": model.file_type,
    }


def _parameter_size(number: int) -> str:
    """As Ollama writes it: 7.6B, 494.03M."""
    if number >= 10**9:
        return f"{number / 10**9:.1f}B"
    return f"{number / 10**6:.2f}M" if number >= 10**6 else f"{number / 10**3:.2f}K"
