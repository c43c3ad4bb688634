"""A model that was checked, and whose bytes can be read from somewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.api.errors import UnsupportedModelError
from cluster.cutting.model import Model
from cluster.cutting.servable import Servable
from cluster.store.origin import Origin


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A checked model and where its bytes are.

    `name` is for people. `version` changes whenever the source does (times of files, ETags). `path` is the one
    local file that is the whole model, None where there is no such file. `origins`: the nearest first.
    """

    name: str
    model: Servable
    hash: str
    version: str
    origins: tuple[Origin, ...]
    path: Path | None = None

    @property
    def gguf(self) -> Model:
        """The model, where libllama computes it. UnsupportedModelError of a program."""
        if not isinstance(self.model, Model):
            raise UnsupportedModelError(f"{self.name}: it is a program, which libllama does not compute")
        return self.model
