"""What all metrics share: batches are counted in, and the counts can be kept with a checkpoint."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Self

from ggml.core.errors import StateDictError


class Metric:
    """``update`` counts a batch in, ``compute`` says the value of all batches since ``reset``.

    What is counted lives on the host, in float64 and int64: ggml has no float64 to add many numbers up in.
    """

    #: What was counted, by name, and what it is before the first batch.
    _empty: ClassVar[dict[str, Any]]

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> Self:
        """Forget all batches."""
        self._state: dict[str, Any] = copy.deepcopy(self._empty)
        return self

    def compute(self) -> Any:
        """The value of all batches so far. ArgumentError where none has been counted in."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """What was counted so far: numbers, and arrays of NumPy."""
        return copy.deepcopy(self._state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there. StateDictError where the names are not those of this metric."""
        missing = [name for name in self._empty if name not in state_dict]
        unexpected = [name for name in state_dict if name not in self._empty]
        if missing or unexpected:
            raise StateDictError(type(self).__name__, missing, unexpected, [], True)
        self._state = copy.deepcopy(dict(state_dict))
