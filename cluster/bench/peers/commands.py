"""What a peer process is told at its start. Plain data; travels as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class WholeOrders:
    """How to hold the model. With `endpoints`, its layers lie on llama.cpp RPC servers."""

    model: str
    context_length: int  # tokens per sequence
    num_slots: int
    num_threads: int
    type_k: str = "f16"
    type_v: str = "f16"
    flash_attn: str = "auto"
    ubatch_size: int = 512  # most rows of one graph
    use_extra_bufts: bool = True  # weights in the CPU's repacked layouts
    uses_gpu: bool = False
    endpoints: tuple[str, ...] = ()  # host:port, one per stage
    layers: tuple[int, ...] = ()  # how many layers lie on each endpoint

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        raw: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(text).items()
        }
        return cls(**raw)

    @property
    def tensor_split(self) -> tuple[float, ...]:
        """Shares of the layers and the head, such that llama.cpp cuts where `layers` says.

        It gives layer i to the first device whose cumulated share is above i / (layers + 1): half a layer less keeps
        rounding away from the borders; the last device has the head too.
        """
        ends = [sum(self.layers[: stage + 1]) - 0.5 for stage in range(len(self.layers) - 1)]
        ends.append(sum(self.layers) + 1.0)
        return tuple(end - start for start, end in zip([0.0, *ends], ends, strict=False))
