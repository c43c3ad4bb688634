"""Rules against the schemas of the operations they are for."""

from __future__ import annotations

import inspect

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from ggml.export.translating import DROPPED  # noqa: E402
from ggml.programs.rules import RULES, signature_of  # noqa: E402

ATEN = sorted(name for name in RULES if name.startswith("aten."))

# Arguments that mean the same under another name; those of ATen that a rule leaves out are refused as too many.
SAME = {"self": "input", "value": "src", "split_size": "split_size_or_sections"}
LEFT_OUT = {("aten.add.Scalar", "alpha"), ("aten.sub.Scalar", "alpha")}


@pytest.mark.parametrize("name", ATEN)
def test_rule_takes_what_the_schema_lists(name: str) -> None:
    _, op, overload = name.split(".")
    schema = getattr(getattr(torch.ops.aten, op), overload)._schema
    parameters = list(signature_of(name).parameters.values())
    placed = [one for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    is_open = any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in parameters)
    listed = [one for one in schema.arguments if not one.kwarg_only and one.name not in DROPPED]
    is_own = RULES[name].__module__.startswith("ggml.programs")
    for place, argument in enumerate(listed):
        if place < len(placed):
            known = (argument.name, SAME.get(argument.name))
            assert is_own or placed[place].name in known, f"{argument.name} would be taken as {placed[place].name}"
        else:
            assert is_open or (name, argument.name) in LEFT_OUT, f"{argument.name} has no place"
    for argument in schema.arguments:
        if argument.kwarg_only and argument.name not in DROPPED:
            assert argument.name in {one.name for one in parameters}
