"""Programs: models that ``torch.export`` wrote down, as ggml runs them. Nothing here needs torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ggml.core.devices import Device
    from ggml.programs.program import Program


def load_program(
    path: Any, *, device: Device | str | None = None, weights: str | os.PathLike[str] | None = None
) -> Program:
    """The program of a ``.ggp`` file, which ``Program.save`` wrote. torch is not needed.

    Its weights lie in the mapped file, and are read as they are used, or copied to ``device``. FileFormatError for a
    file that is not sound, or holds no program; ArgumentError for a device that is not here; OSError for a file that
    cannot be opened. It may be replaced while it is mapped, but not cut short.

    ``weights``: where the GGUF file is now that a program saved with ``embed=False`` refers to. It is read once as a
    whole, to compare its hash.
    """
    from ggml.io.reading import path_of
    from ggml.programs.files import load_program as load  # the rules would make ``import ggml`` slower for everybody

    return load(path, device, None if weights is None else path_of("load_program", weights))
