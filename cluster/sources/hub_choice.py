"""Which file of a hub repository is meant. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from cluster.errors import UsageError
from cluster.gguf.parts import part_names

DEFAULT_CHOICES = ("Q4_K_M", "Q8_0")  # what llama.cpp takes where none is named
MAX_SHOWN = 12
_LATER_PART = re.compile(r".*-(?!00001)[0-9]{5}-of-[0-9]{5}\.gguf", re.IGNORECASE | re.DOTALL)
_NO_MODEL = re.compile(r"(^|[-_.])(mmproj|imatrix|mtp|vocab)([-_.]|$)", re.IGNORECASE)


def choose_files(names: Collection[str], choice: str | None, repo: str) -> tuple[str, ...]:
    """The file, or all its parts, that `choice` means: a file name, or a quantisation in a file's name.

    UsageError, with the possible names, where none or several fit, or a part is missing.
    """
    models = sorted(name for name in names if _is_model(name))
    if choice is not None and choice.lower().endswith(".gguf"):
        first = _only(models, [name for name in models if name == choice], choice, repo)
    elif choice is not None:
        first = _only(models, _fitting(models, choice), choice, repo)
    else:
        fitting = next(filter(None, (_fitting(models, default) for default in DEFAULT_CHOICES)), models)
        first = _only(models, fitting, "a model", repo)
    parts = part_names(first)
    missing = [name for name in parts if name not in names]
    if missing:
        raise UsageError(f"hf:{repo}: {missing[0]}: this part is not in the repository; choose another file")
    return parts


def _is_model(name: str) -> bool:
    if not name.lower().endswith(".gguf") or _LATER_PART.fullmatch(name) or not name.isprintable():
        return False
    inside = not name.startswith("/") and ".." not in name.split("/")
    return inside and not _NO_MODEL.search(name.rpartition("/")[2])


def _fitting(models: Iterable[str], choice: str) -> list[str]:
    pattern = re.compile(rf"(^|[-_./]){re.escape(choice)}([-./]|$)", re.IGNORECASE)
    return [name for name in models if pattern.search(name.rpartition("/")[2])]


def _only(models: Collection[str], fitting: Collection[str], choice: str, repo: str) -> str:
    if len(fitting) == 1:
        return next(iter(fitting))
    shown = sorted(fitting or models)
    listed = ", ".join(map(ascii, shown[:MAX_SHOWN])) + (" ..." if len(shown) > MAX_SHOWN else "")
    why = f"{len(fitting)} files fit" if fitting else "no file fits"
    raise UsageError(f"hf:{repo}: {choice}: {why}; name one of: {listed or '(there is no GGUF)'}")
