"""Random graphs of differentiable rows: values and gradients of all leaves against PyTorch's.

The child of test_graph_fuzz: ``python -m tests.ggml.autograd.graph_fuzz FIRST COUNT [--describe]`` tries seeds from
FIRST on. Each graph must equal PyTorch's or be a typed error; nothing may end the process.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import ggml
from ggml.autograd.coverage import HAS, derivatives
from ggml.core.op import Op
from ggml.ops.namespace import TABLE
from tests.ggml.fuzz_arguments import Fuzzer, described, mirrored
from tests.ggml.fuzz_programs import LOOKS, Place, filled
from tests.ggml.oracle import COMPLEX, torch_result

#: Rows that are not drawn: they draw themselves, or are given complex numbers.
LEFT_OUT = {
    "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "rrelu", "bernoulli",
    "torch_dropout", "torch_alpha_dropout", "torch_feature_alpha_dropout", "gumbel_softmax", "stft", "istft",
    "as_strided", "as_strided_scatter",  # of what lies in another order
    "polar", "complex", "angle", "topk",  # of a scalar PyTorch takes 1 where 0 are asked for
    "to", "type_as",  # to 16 bits
    "empty_like", "new_empty", "rand_like", "randn_like", "randint_like", "ctc_loss",
    "det", "slogdet", "logdet",  # of singular matrices: see test_derivatives
    "hardshrink", "dist",  # of a negative power, or of none
    "cholesky_ex",  # of what is not positive definite PyTorch leaves the result open
    "max_unpool1d", "max_unpool2d", "max_unpool3d",  # of places that are there twice
}  # fmt: skip

_HAS = derivatives()
ROWS = sorted(
    (
        row
        for row in TABLE.values()
        if row.sample not in {"internal", *COMPLEX}
        and row.name not in LEFT_OUT
        and _HAS[row.name] == HAS
        and not row.torch.startswith("fft.")
        and not (row.torch.endswith("_") or row.torch == "Tensor.__setitem__")
    ),
    key=lambda row: row.name,
)

#: Their gradients are PyTorch's of one element where no axes are named, though all are reduced.
_SPREADS = {"var", "std", "var_mean", "std_mean"}

_LARGEST = 30.0  # values beyond it make products of them that no comparison stands
_KEPT = 3  # values at the end whose sum is differentiated


class GraphFuzzer(Fuzzer):
    """Arguments of float32 without infinities and ties, of small extents."""

    def dtype(self) -> str:
        return "float32"

    def shape(self) -> tuple[int, ...]:
        return tuple(one for one in super().shape() if one <= 4)[:4]

    def laid_out(self, x: Any) -> Any:
        return x

    def quantised(self) -> Any:
        return self.values("float32", self.shape())

    def values(self, dtype: str, shape: tuple[int, ...]) -> Any:
        if dtype != "float32":
            return super().values(dtype, shape)
        return torch.from_numpy(np.array(self.arrays.uniform(-2, 2, shape), np.float32))


@dataclass
class Call:
    """One row of the graph. ``method`` changes a clone in place, which ``is_read`` before by another operation."""

    row: Op
    method: str | None
    is_read: bool
    args: list[Any]
    kwargs: dict[str, Any]

    def __repr__(self) -> str:
        read = ", read before" if self.is_read else ""
        return f"{self.method or self.row.name}({described(self.args)}, {described(self.kwargs)}{read})"


def _float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype is torch.float32


class Graph:
    """Leaves, and calls that PyTorch has accepted; ``items`` has both, in an order in which they can be computed."""

    def __init__(self, seed: int) -> None:
        fuzzer = GraphFuzzer(seed)
        self.items: list[Any] = []
        self._values: list[Any] = []
        self._add(fuzzer.values("float32", fuzzer.shape() or (2, 3)))
        wanted = fuzzer.rng.randint(3, 12)
        for _ in range(4 * wanted):
            if sum(isinstance(one, Call) for one in self.items) == wanted:
                break
            fuzzer.pool = [one for one in self._values if _float(one)]
            looks = fuzzer.rng.random() < 0.3
            self._try(fuzzer, TABLE[fuzzer.rng.choice(LOOKS)] if looks else fuzzer.rng.choice(ROWS))

    def _add(self, value: Any, item: Any = None) -> None:
        self.items.append(value if item is None else item)
        self._values.append(value)

    def _try(self, fuzzer: Fuzzer, row: Op) -> None:
        method = None
        names = [f"{name}_" for name in row.methods if hasattr(ggml.Tensor, f"{name}_")]
        if names and hasattr(torch.Tensor, names[0]) and fuzzer.rng.random() < 0.25:
            method = names[0]
        is_read = method is not None and fuzzer.rng.random() < 0.3
        for _ in range(4):
            args, kwargs = fuzzer.call(row)
            if not args or not any(one is args[0] for one in self._values):
                continue
            if row.name in _SPREADS and any(isinstance(one, tuple) and not one for one in (*args, *kwargs.values())):
                continue
            try:
                result = run_torch(row, method, False, args, kwargs)
            except Exception:  # of every kind: PyTorch refuses the call
                continue
            if not _float(result) or not result.numel() or result.numel() > 512:
                continue
            if not result.isfinite().all() or result.abs().max() > _LARGEST:
                continue
            abstract = self._abstract(args), self._abstract(kwargs)
            self._add(result.clone(), Call(row, method, is_read, *abstract))
            return

    def _abstract(self, value: Any) -> Any:
        """Places for what the graph has; other floats become leaves."""
        if isinstance(value, torch.Tensor):
            for number, known in enumerate(self._values):
                if known is value:
                    return Place(number)
            if not _float(value):
                return value
            self._add(value)
            return Place(len(self._values) - 1)
        if isinstance(value, (list, tuple)):
            return type(value)(self._abstract(item) for item in value)
        if isinstance(value, dict):
            return {key: self._abstract(item) for key, item in value.items()}
        return value

    def torch_run(self, dtype: Any, noise: float = 0.0, seed: int = 0) -> tuple[list[Any], list[Any]]:
        """Values of the last calls, and the gradients of all leaves; ``noise`` moves every result by that share."""
        rng = np.random.default_rng(seed)
        values: list[Any] = []
        leaves = []
        for item in self.items:
            if isinstance(item, Call):
                args, kwargs = filled(item.args, values), filled(item.kwargs, values)
                made = run_torch(item.row, item.method, item.is_read, args, kwargs)
                if _requires(args) and not made.requires_grad:
                    raise NotImplementedError(f"{item.row.name}: PyTorch passes nothing on, and we do")
                if noise:
                    signs = torch.from_numpy(np.array(rng.choice([-1.0, 1.0], tuple(made.shape)))).to(dtype)
                    made = made + (made.detach().abs() + 0.1 * made.detach().abs().max()) * signs * noise
            else:
                made = item.to(dtype, copy=True).requires_grad_()
                leaves.append(made)
            values.append(made)
        ends = [one for one, item in zip(values, self.items, strict=True) if isinstance(item, Call)][-_KEPT:]
        grads: Any = [None] * len(leaves)
        if ends and any(one.requires_grad for one in ends):
            total = sum((one * _weights(torch, one).to(dtype)).sum() for one in ends)
            grads = torch.autograd.grad(total, leaves, allow_unused=True)
        return [one.detach() for one in ends], [
            torch.zeros_like(leaf) if one is None else one for one, leaf in zip(grads, leaves, strict=True)
        ]

    def ggml_run(self) -> tuple[list[Any], list[Any]]:
        values: list[Any] = []
        leaves = []
        for item in self.items:
            if isinstance(item, Call):
                args, kwargs = mirrored(filled(item.args, values)), mirrored(filled(item.kwargs, values))
                made = _first(_run_ggml(item, args, kwargs))
            else:
                made = ggml.tensor(item.numpy(), requires_grad=True)
                leaves.append(made)
            values.append(made)
        ends = [one for one, item in zip(values, self.items, strict=True) if isinstance(item, Call)][-_KEPT:]
        grads: Any = [None] * len(leaves)
        if ends and any(one.requires_grad for one in ends):
            total = sum((one * _weights(ggml, one)).sum() for one in ends)
            grads = ggml.autograd.grad(total, leaves, allow_unused=True)
        return [one.detach() for one in ends], [
            ggml.zeros_like(leaf) if one is None else one for one, leaf in zip(grads, leaves, strict=True)
        ]

    def __repr__(self) -> str:
        lines = [
            f"{place}: {item if isinstance(item, Call) else f'leaf {tuple(item.shape)}'}"
            for place, item in enumerate(self.items)
        ]
        return "\n    ".join(lines)


def _requires(args: Any) -> bool:
    if isinstance(args, (list, tuple)):
        return any(map(_requires, args))
    return isinstance(args, torch.Tensor) and args.requires_grad


def _weights(library: Any, value: Any) -> Any:
    """So that no element counts as another one does."""
    count = math.prod(value.shape)
    return library.tensor(np.cos(np.arange(count, dtype=np.float32)).reshape(tuple(value.shape)))


def _first(result: Any) -> Any:
    return result[0] if isinstance(result, (list, tuple)) else result


def run_torch(row: Op, method: str | None, is_read: bool, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if method is None:
        result = torch_result(row, args, kwargs)
        if isinstance(result, Exception):
            raise result
        return _first(result)
    changed = args[0].clone()
    read = changed.tanh() if is_read else None
    getattr(changed, method)(*args[1:], **kwargs)
    return changed if read is None else changed + read.sum() * 0.125


def _run_ggml(item: Call, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if item.method is None:
        return item.row.function(*args, **kwargs)
    changed = args[0].clone()
    read = changed.tanh() if item.is_read else None
    getattr(changed, item.method)(*args[1:], **kwargs)
    return changed if read is None else changed + read.sum() * 0.125


def wrong_in(found: list[Any], wanted: list[Any], exact: list[Any], moved: list[list[Any]]) -> str | None:
    """What differs by more than float32 explains: how far PyTorch itself is off, and how far noise moves it."""
    for place, (mine, theirs, true) in enumerate(zip(found, wanted, exact, strict=True)):
        if tuple(mine.shape) != tuple(theirs.shape):
            return f"{place}: shape {tuple(mine.shape)} instead of {tuple(theirs.shape)}"
        have, want, right = mine.numpy().astype(np.float64), theirs.double().numpy(), true.double().numpy()
        if not np.isfinite(want).all() or not np.isfinite(right).all():
            continue
        others = [one[place].double().numpy() for one in moved]
        if not all(np.isfinite(one).all() for one in others):
            continue
        scale = max(float(np.abs(right).max(initial=0)), 1e-2)
        drift = [float(np.abs(one - right).max(initial=0)) for one in (want, *others)]
        slack = 2e-4 * scale + 10 * max(drift)
        off = float(np.abs(have - right).max(initial=0)) if np.isfinite(have).all() else math.inf
        if off > slack:
            return f"{place}: off by {off:.3g} of {scale:.3g} with {slack:.3g} allowed"
    return None


def judge(seed: int) -> tuple[str, str]:
    """``equal``, ``refused`` with the typed error, ``nothing`` where PyTorch has no answer, or ``WRONG`` and why."""
    graph = Graph(seed)
    try:
        wanted = graph.torch_run(torch.float32)
        exact = graph.torch_run(torch.float64)
        moved = [graph.torch_run(torch.float64, 1e-6, one) for one in (1, 2)]
    except Exception as error:  # of every kind: PyTorch has no derivative, or no float64
        wanted = None
        why = f"{type(error).__name__}: {error}"
    try:
        found = graph.ggml_run()
        ggml.eval([*found[0], *found[1]])
    except ggml.GgmlError as error:
        return "refused", f"{type(error).__name__}: {error}"
    except Exception as error:  # of every kind: it should have been a typed one
        return "WRONG", f"{type(error).__name__}: {error}\n    {graph}"
    if wanted is None:
        return "nothing", why
    for what, place in (("value", 0), ("gradient", 1)):
        problem = wrong_in(found[place], wanted[place], exact[place], [one[place] for one in moved])
        if problem is not None:
            return "WRONG", f"{what} {problem}\n    {graph}"
    return "equal", ""


def main(first: int, count: int, describes: bool) -> int:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    ggml.set_num_threads(1)
    counts: Counter[str] = Counter()
    for seed in range(first, first + count):
        print(f"seed {seed}", flush=True)  # the last one is what ended the process
        verdict, why = judge(seed)
        counts[verdict] += 1
        if verdict == "WRONG" or (describes and why):
            print(f"{verdict} {why}", flush=True)
    print(" ".join(f"{name}={number}" for name, number in sorted(counts.items())))
    return int(counts["WRONG"] > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), "--describe" in sys.argv))
