"""PyTorch's own samples of its operators, from its test package: equal results, or a typed refusal. Slow."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ggml
from tests.ggml.both import torch
from tests.ggml.compare import assert_same

pytest.importorskip("expecttest", reason="PyTorch's samples need it: pip install expecttest")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db

NUM_SAMPLES = 12
DTYPES = ("float32", "int64", "bool")

# Sums of mixed signs in another order.
TOLERANCE = 1e-3

# Values are drawn, or left open.
DRAWN = re.compile(
    r"normal|uniform|cauchy|exponential|geometric|bernoulli|multinomial|rand|empty|dropout|rrelu|gumbel|fractional"
)

# What PyTorch leaves open: of equal elements the place, of a decomposition the signs. Transforms of a real tensor whose
# last axis could be pairs.
OPEN = re.compile(
    r"sort|topk|mode|kthvalue|median|eig|svd|qr|lstsq|lu|cholesky|geqrf|ormqr|pca|ldl|householder|hash|bincount"
    r"|^fft\.i?h?r?fft"
)


def counterpart(info: Any) -> Callable[..., Any] | None:
    """The function of ggml of the same name, or the method.

    None where PyTorch tests a function of its own, and where it looks at memory outside of a view.
    """
    if info.variant_test_name == "partial_views" or "testing" in getattr(
        getattr(info.op, "__code__", None), "co_filename", ""
    ):
        return None
    found: Any = ggml
    for part in info.name.split("."):
        found = getattr(found, part, None)
    method = getattr(ggml.Tensor, info.name, None)
    return found if callable(found) else method if callable(method) else None


class NoCounterpart(Exception):
    """An argument of a sample that ggml has no kind of."""


def converted(value: Any) -> Any:
    """An argument with ggml's tensors and dtypes in place of PyTorch's."""
    if isinstance(value, torch.Tensor):
        name = str(value.dtype).removeprefix("torch.")
        if value.layout is not torch.strided or name not in (*DTYPES, "float16", "bfloat16", "int32"):
            raise NoCounterpart
        return ggml.from_dlpack(value.detach().resolve_neg().contiguous())
    if isinstance(value, torch.dtype):
        if not hasattr(ggml, str(value).removeprefix("torch.")):
            raise NoCounterpart
        return getattr(ggml, str(value).removeprefix("torch."))
    if isinstance(value, torch.memory_format):
        return getattr(ggml, str(value).removeprefix("torch."))
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (list, tuple)):
        return type(value)(*map(converted, value)) if hasattr(value, "_fields") else type(value)(map(converted, value))
    if isinstance(value, dict):
        return {key: converted(item) for key, item in value.items()}
    if isinstance(value, (complex, torch.nn.Module)) or (callable(value) and not isinstance(value, type)):
        raise NoCounterpart
    return value


def samples(info: Any, name: str) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    torch.manual_seed(0)
    try:
        drawn = list(itertools.islice(info.sample_inputs("cpu", getattr(torch, name)), NUM_SAMPLES))
    except Exception:  # of PyTorch's own making of samples
        return
    for one in drawn:
        yield [one.input, *one.args], one.kwargs


def difference(info: Any, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> str:
    """What is wrong with one call; empty if nothing is."""
    try:
        ours, named = converted(args), converted(kwargs)
    except NoCounterpart:
        return ""
    try:
        expected = info.op(*args, **kwargs)
    except Exception as error:
        expected = error
    try:
        got = function(*ours, **named)
        ggml.eval(*[one for one in (got if isinstance(got, (list, tuple)) else [got]) if isinstance(one, ggml.Tensor)])
    except ggml.GgmlError:
        return ""
    except Exception as error:
        return f"untyped {type(error).__name__}: {error}"
    parts = expected if isinstance(expected, (list, tuple)) else [expected]
    is_left_open = (
        isinstance(expected, Exception) or kwargs.get("dropout_p") or OPEN.search(info.name) or DRAWN.search(info.name)
    )
    if is_left_open or any(isinstance(one, torch.Tensor) and one.is_complex() for one in parts):
        return ""
    try:
        assert_same(got, expected, TOLERANCE)
    except AssertionError as error:
        return f"wrong: {' '.join(str(error).split())[:200]}"
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("info", op_db, ids=lambda info: f"{info.name}/{info.variant_test_name}".rstrip("/"))
def test_samples(info: Any) -> None:
    function = counterpart(info)
    if function is None:
        pytest.skip(f"ggml has no {info.name}")
    supported = {str(dtype).removeprefix("torch.") for dtype in info.supported_dtypes("cpu")}
    found = []
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in DTYPES:
            if name in supported:
                for args, kwargs in samples(info, name):
                    said = difference(info, function, args, kwargs)
                    if said:
                        found.append(f"{name} {args} {kwargs}: {said}"[:600])
    assert not found, "\n".join(found)
