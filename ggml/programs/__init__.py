"""Programs: models that ``torch.export`` wrote down, as ggml runs them. Nothing here needs torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ggml.programs.program import Program


def load_program(path: Any) -> Program:
    """The program of a ``.ggp`` file, which ``Program.save`` wrote. torch is not needed.

    Its weights lie in the mapped file, and are read as they are used. FileFormatError for a file that is not sound, or
    holds no program; OSError for one that cannot be opened. The file may be replaced while it is mapped, but not cut
    short.
    """
    from ggml.programs.files import load_program as load  # the rules would make ``import ggml`` slower for everybody

    return load(path)
