"""Templates that ship, by the names that llama.cpp has for them where it has any."""

from __future__ import annotations

from importlib.resources import files

from cluster.api.errors import UsageError
from cluster.api.nearest import did_you_mean

_ENDING = ".jinja"


def template_names() -> tuple[str, ...]:
    """The names, in order."""
    found = files(__package__).joinpath("shipped").iterdir()
    return tuple(sorted(file.name.removesuffix(_ENDING) for file in found if file.name.endswith(_ENDING)))


def named_template(name: str) -> str:
    """The text of a template. UsageError names the nearest one, if there is none of that name."""
    names = template_names()
    if name not in names:
        hint = did_you_mean(name, names, f"give the path of a file, or one of {', '.join(names)}")
        raise UsageError(f"chat-template: {name}: no such template ships; {hint}")
    return files(__package__).joinpath("shipped", name + _ENDING).read_text(encoding="utf-8")
