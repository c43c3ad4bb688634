"""A model of a library as one that takes its arguments by position and gives tensors in a tuple."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn


class Fields(nn.Module):
    """Calls ``model`` with its arguments under ``names``, and ``fixed`` ones; gives all tensors of the result, or those
    of ``results``."""

    def __init__(
        self,
        model: nn.Module,
        names: Sequence[str],
        results: Sequence[str] = (),
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.names, self.results, self.fixed = model, tuple(names), tuple(results), dict(fixed or {})

    def forward(self, *args: Tensor) -> tuple[Tensor, ...]:
        found = self.model(**dict(zip(self.names, args, strict=True)), **self.fixed)
        if self.results:
            return tuple([found[name] for name in self.results])
        return tuple(tensors(found))


def tensors(found: Any) -> Iterator[Tensor]:
    """The tensors in what a model gave, in their order."""
    if isinstance(found, Tensor):
        yield found
    elif isinstance(found, Mapping):
        for item in found.values():
            yield from tensors(item)
    elif isinstance(found, (tuple, list)):
        for item in found:
            yield from tensors(item)
