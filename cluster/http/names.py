"""The names that the model goes by."""

from __future__ import annotations

from cluster.http.errors import refused
from cluster.http.faces.face import Body, Served


def names_of(served: Served) -> tuple[str, ...]:
    """The first one is the one that answers carry."""
    return served.settings.aliases or (served.alias,)


def check_model(body: Body, served: Served) -> None:
    """RefusedError for another name, where only the model's own are taken: clients like to have names of their own."""
    name = body.get("model")
    if served.settings.strict_model and isinstance(name, str) and name not in names_of(served):
        message = f"model: {name[:100]!r} is not served here; ask for {served.alias!r}"
        raise refused(404, "not_found_error", message, "model_not_found")
