"""The mark of a complex tensor: a handle of its own type over pairs of floats, [..., 2].

PyTorch's arithmetic of complex numbers is not that of their pairs. So a marked tensor takes part only in what knows
the mark (``ggml.ops.signal.complexes``, the Fourier transforms, moving and copying); everything else refuses it.
``view_as_complex`` marks pairs, ``view_as_real`` takes the mark off. Neither computes or copies anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from ggml.core.devices import Device
from ggml.core.errors import ArgumentError, UnsupportedOpError
from ggml.core.node import Node
from ggml.tensors import history, transfer
from ggml.tensors.tensor import Tensor, wrap

_HINT = "take its pairs with ggml.view_as_real(x), or x.real, x.imag, x.abs(), x.angle()"


class Pairs(Tensor):
    """A complex tensor, whose last axis holds real and imaginary part. ``shape`` counts that axis."""

    __slots__ = ()

    def is_complex(self) -> bool:
        return True

    def is_floating_point(self) -> bool:
        return False

    def detach(self) -> Pairs:
        return over(self._node)

    def clone(self, *, memory_format: Any = None) -> Pairs:
        return marked(self)

    def contiguous(self, memory_format: Any = None) -> Pairs:
        return self

    def to_device(self, device: Device) -> Pairs:
        return self if device == self.device else marked(wrap(transfer.move(self._node, self.buffer(), device)))

    def pin_memory(self, device: Device | str | None = None) -> Pairs:
        return marked(super().pin_memory(device))

    def __getitem__(self, index: Any) -> Pairs:
        """Axes before the pairs are indexed. Where the last axis could be meant, neither reading is taken."""
        parts = index if isinstance(index, tuple) else (index,)
        if any(part is Ellipsis for part in parts):
            raise ArgumentError("getitem", "index", f"... could count the axis of pairs or not: {_HINT}")
        return marked(plain(self)[(*parts, Ellipsis, slice(None))])

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, complex)"

    def __reduce__(self) -> Any:
        restored, parts = super().__reduce__()
        return _restored, (restored, parts)


def _restored(make: Callable[..., Tensor], parts: tuple[Any, ...]) -> Pairs:
    return marked(make(*parts))


def over(node: Node) -> Pairs:
    """A marked tensor over a node of pairs."""
    tensor = object.__new__(Pairs)
    tensor._node, tensor._history = node, None
    return tensor


def marked(pairs: Tensor) -> Pairs:
    """The same pairs as a complex tensor."""
    tensor = over(pairs._node)
    if history.is_needed((pairs,)):
        history.record("mark", (pairs,), (), (tensor,))
    return tensor


def plain(tensor: Tensor) -> Tensor:
    """The same pairs as a real tensor; itself if it is not marked."""
    return tensor._alias() if type(tensor) is Pairs else tensor


def refuse(op: str) -> NoReturn:
    """What an operation that does not know the mark says."""
    raise UnsupportedOpError(op, "complex tensors", _HINT)
