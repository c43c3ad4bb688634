"""What the kit is asked for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

Size = Literal["tiny", "full"]


@dataclass(frozen=True, slots=True)
class Settings:
    """`device` is ggml's name, "CUDA0" or "CPU"; `folder` takes models, slices and other large files.

    `limit_s`: what a case has got, for those that measure as often as there is time. Set by the runner.
    """

    device: str
    size: Size
    folder: str
    out: str
    limit_s: float = 60.0

    @property
    def is_tiny(self) -> bool:
        """Whether the shapes are those that show that the kit works, and no more."""
        return self.size == "tiny"

    @property
    def is_cpu(self) -> bool:
        return self.device == "CPU"

    @property
    def scratch(self) -> Path:
        return Path(self.folder)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))
