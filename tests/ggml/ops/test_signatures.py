"""Arguments have PyTorch's names and places: read from its schemas and signatures, none of them written down here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ggml
from ggml.registry.spelling import Spelling
from tests.ggml.both import torch

# What has no counterpart: a name of one function, or of all.
ABSENT = {
    "out_dtype",  # of products, for GPUs
    "_stacklevel",  # of a warning
    "pickle_module", "mmap",  # files are GGUF
    "from",  # a keyword of Python's
}  # fmt: skip
ABSENT_IN = {
    ("max", "other"), ("min", "other"),  # in the place of dim, too
    ("view", "dtype"), ("view_copy", "dtype"), ("is_pinned", "device"), ("copy_", "other"), ("add_", "b"),
    ("result_type", "other"),
    ("result_type", "tensor"), ("normalize", "out"), ("einsum", "a"), ("sort", "reverse"), ("eq", "a"), ("eq", "b"),
    ("ne", "a"), ("ne", "b"), ("orgqr", "input2"), ("rrelu", "generator"), ("rrelu_", "generator"), ("elu_", "scale"),
    ("elu_", "input_scale"), ("group_norm", "cudnn_enabled"), ("layer_norm", "cudnn_enable"),
}  # fmt: skip

# Forms whose arguments stand where another form has others; what stands there is told by its type.
BY_TYPE = {"max", "min", "scatter", "scatter_", "randint", "std", "var", "std_mean", "var_mean", "random_", "norm"}

# Keywords of ours that PyTorch's schemas have in order.
KEYWORDS = {"alpha", "dtype", "out", "stable"}


def forms(function: Any, name: str) -> Iterator[list[tuple[str, bool]]]:
    """The arguments of each form of a function of PyTorch's: name, and whether it is a keyword only."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
            arguments = schema.arguments
            is_other = any(one.is_out for one in arguments) or "Dimname" in str(schema)
            if arguments and not is_other and str(arguments[0].type) in ("Tensor", "List[Tensor]"):
                yield [(one.name, one.kwarg_only) for one in arguments]
        return
    if not any(one.kind is one.VAR_POSITIONAL for one in parameters):
        yield [(one.name, one.kind is one.KEYWORD_ONLY) for one in parameters if one.kind is not one.VAR_KEYWORD]


def misfits(ours: Callable[..., Any], theirs: Any, name: str) -> list[str]:
    """What cannot be given to ours by PyTorch's name, or in its place."""
    parameters = list(inspect.signature(ours).parameters.values())
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return []
    aliases = Spelling(inspect.unwrap(ours)).aliases
    named = {one.name for one in parameters if one.kind is not one.VAR_POSITIONAL} | set(aliases)
    in_order = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    takes_any = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    found = []
    for form in forms(theirs, name):
        for at, (argument, is_keyword) in enumerate(form[1:], 1):
            if argument == "self" or argument in ABSENT or (name, argument) in ABSENT_IN:
                continue
            if argument not in named:
                found.append(f"{argument} is not known")
            elif not (is_keyword or takes_any or name in BY_TYPE or argument in KEYWORDS):
                have = in_order[at] if at < len(in_order) else "nothing"
                if aliases.get(argument, argument) != have:
                    found.append(f"{argument} is number {at}; here that is {have}")
    return found


def pairs(ours: Any, theirs: Any) -> dict[str, tuple[Any, Any]]:
    """The functions of the same name in two libraries."""
    names = [name for name in dir(ours) if not name.startswith("_") and hasattr(theirs, name)]
    both = {name: (getattr(ours, name), getattr(theirs, name)) for name in names}
    return {name: pair for name, pair in both.items() if callable(pair[0]) and not inspect.isclass(pair[0])}


@pytest.mark.parametrize(
    ("place", "prefix"),
    [("", ""), ("Tensor", ""), ("nn.functional", ""), ("fft", "fft_"), ("linalg", "linalg_"),
     ("special", "special_"), ("signal.windows", "")],
)  # fmt: skip
def test_names_and_places(place: str, prefix: str) -> None:
    ours, theirs = ggml, torch
    for part in place.split(".") if place else ():
        ours, theirs = getattr(ours, part), getattr(theirs, part)
    found = {name: misfits(*pair, prefix + name) for name, pair in pairs(ours, theirs).items()
             if name not in ("compile", "save", "load")}  # fmt: skip
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_modules() -> None:
    found = {}
    for name in dir(ggml.nn):
        ours, theirs = getattr(ggml.nn, name), getattr(torch.nn, name, None)
        if inspect.isclass(ours) and inspect.isclass(theirs) and issubclass(ours, ggml.nn.Module):
            for method in ("__init__", "forward"):
                texts = misfits(getattr(ours, method), getattr(theirs, method), method)
                if texts and name != "Hardtanh":  # PyTorch's names of old: min_value, max_value
                    found[f"{name}.{method}"] = texts
    assert found == {}
