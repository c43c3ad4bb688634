"""Rules that are rows of the table of ``ggml``, on PyTorch's own samples of its operators. Slow."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")
pytest.importorskip("expecttest", reason="PyTorch's samples need it: pip install expecttest")

import ggml  # noqa: E402
from tests.ggml.programs.rule_samples import ONLY_OURS, ROW_SAMPLES, Sample  # noqa: E402
from tests.ggml.programs.test_rule_numbers import ROWS, check, operation  # noqa: E402

DTYPES = ("float32", "int64", "bool")

#: How many samples of each operation and dtype are looked through, and how many of them are compared.
NUM_DRAWN, NUM_COMPARED = 20, 2

# Of these the second result says where elements were, which is open for equal ones.
_LEFT_OPEN = ("aten.sort.default", "aten.sort.stable", "aten.topk.default")


@functools.cache
def _infos() -> dict[str, list[Any]]:
    """PyTorch's descriptions of its operators, by the names under which ATen may have them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    found: dict[str, list[Any]] = {}
    for info in op_db:
        names = {info.name.rpartition(".")[2], info.aten_name, *[alias.name for alias in info.aliases]}
        for name in names:
            found.setdefault(name, []).append(info)
    return found


def samples(name: str) -> Iterator[Sample]:
    """Arguments that the operation takes, PyTorch's own first."""
    infos = () if name in ONLY_OURS else _infos().get(name.split(".")[1], ())
    for info, dtype in itertools.product(infos, DTYPES):
        if getattr(torch, dtype) not in info.supported_dtypes("cpu"):
            continue
        torch.manual_seed(0)
        drawn = itertools.islice(info.sample_inputs("cpu", getattr(torch, dtype)), NUM_DRAWN)
        ours = 0
        for one in drawn:
            sample = ((one.input, *one.args), dict(one.kwargs))
            if ours < NUM_COMPARED and _is_taken(name, sample):
                ours += 1
                yield sample
    yield from ROW_SAMPLES.get(name, ())


def _is_taken(name: str, sample: Sample) -> bool:
    """Whether the operation is called so, and answers with numbers that do not depend on what is left open."""
    schema = operation(name)._schema
    for argument, value in zip(schema.arguments, sample[0], strict=False):
        if isinstance(value, torch.Tensor) and "Tensor" not in str(argument.type):
            return False  # a number in a tensor, which the export could not read
    try:
        found = operation(name)(*sample[0], **sample[1])
    except (RuntimeError, TypeError, IndexError, ValueError):
        return False
    results = found if isinstance(found, (tuple, list)) else [found]
    return all(isinstance(one, torch.Tensor) and not one.is_complex() for one in results)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_row_equals_pytorch(name: str) -> None:
    num_equal, refused = 0, []
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for sample in samples(name):
            try:
                check(name, sample, left_open=name in _LEFT_OPEN)
                num_equal += 1
            except ggml.GgmlError as error:  # such arguments are decomposed, or stay torch's
                refused.append(str(error))
    assert num_equal, f"no sample was compared; refused: {refused[:3]}"
