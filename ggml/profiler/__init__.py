"""Where time goes, as ``torch.profiler``."""

from __future__ import annotations

from ggml.profiler.averages import Average, Averages
from ggml.profiler.profile import profile, record_function

__all__ = ["Average", "Averages", "profile", "record_function"]
