"""What the reader raises; whoever opens a file says it in the words of its own error tree."""

from __future__ import annotations


class GgufError(ValueError):
    """A file that is not a sound, whole GGUF. ``str(error)`` is one line: ``path: field: why``."""

    def __init__(self, path: str, field: str, why: str) -> None:
        super().__init__(f"{path}: {field}: {why}")
        self.path, self.field, self.why = path, field, why

    def __reduce__(self) -> tuple[type[GgufError], tuple[str, str, str]]:
        return type(self), (self.path, self.field, self.why)
