"""Which file of a hub repository is meant. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from cluster.api.errors import UsageError
from cluster.store.parts import part_names

DEFAULT_CHOICES = ("Q4_K_M", "Q8_0")  # what llama.cpp takes where none is named
PROJECTOR_CHOICES = ("F16", "BF16", "F32", "Q8_0")  # encoders are small, and made for such numbers
LATEST = "latest"  # the same, where a name without a choice cannot be said
MAX_SHOWN = 12
_LATER_PART = re.compile(r".*-(?!00001)[0-9]{5}-of-[0-9]{5}\.gguf", re.IGNORECASE | re.DOTALL)
# A projector, the statistics of a quantisation, the draft layers or the vocabulary of a model, as people name them.
_SIDE_FILE = re.compile(
    r"(mtp|vocab|ggml-vocab|imatrix)[-_.].*|.*[-_.](imatrix|vocab)\.gguf|(.*[-_.])?mmproj[-_.].*",
    re.IGNORECASE | re.DOTALL,
)
_PROJECTOR = re.compile(r"(.*[-_.])?mmproj[-_.].*", re.IGNORECASE | re.DOTALL)
# The same words where they may also belong to the name of a model: of two files that fit, the one without is meant.
_SIDE_WORD = re.compile(r"(^|[-_.])(imatrix|mtp|vocab)([-_.]|$)", re.IGNORECASE)


def choose_files(names: Collection[str], choice: str | None, repo: str) -> tuple[str, ...]:
    """The file, or all its parts, that `choice` means: a file name, or a quantisation in a file's or its folder's name.

    UsageError, with the possible names, where none or several fit, or a part is missing.
    """
    files = sorted(name for name in names if _is_gguf(name))
    models = [name for name in files if not _SIDE_FILE.fullmatch(_file_name(name))]
    if choice is not None and choice.lower().endswith(".gguf"):
        first = _only(models, [name for name in files if name == choice], choice, repo)
    elif choice is not None and choice.lower() != LATEST:
        first = _only(models, _fitting(models, choice), choice, repo)
    else:
        fitting = next(filter(None, (_fitting(models, default) for default in DEFAULT_CHOICES)), models)
        first = _only(models, fitting, "a model", repo)
    parts = part_names(first)
    missing = [name for name in parts if name not in names]
    if missing:
        raise UsageError(f"hf:{repo}: {missing[0]}: this part is not in the repository; choose another file")
    return parts


def choose_projector(names: Collection[str], choice: str | None, repo: str) -> str:
    """The mmproj file that `choice` means: its name, or how it is quantised; without one that of PROJECTOR_CHOICES.

    UsageError, with the possible names, where none or several fit.
    """
    found = sorted(name for name in names if _is_gguf(name) and _PROJECTOR.fullmatch(_file_name(name)))
    if choice is not None and choice.lower().endswith(".gguf"):
        return _only(found, [name for name in found if name == choice], choice, repo)
    if choice is not None:
        return _only(found, _fitting(found, choice), choice, repo)
    fitting = next(filter(None, (_fitting(found, default) for default in PROJECTOR_CHOICES)), found)
    return _only(found, fitting, "an mmproj file", repo)


def _is_gguf(name: str) -> bool:
    """Whether it is a GGUF, or the first part of one, inside the repository."""
    if not name.lower().endswith(".gguf") or _LATER_PART.fullmatch(name) or not name.isprintable():
        return False
    return not name.startswith("/") and ".." not in name.split("/")


def _file_name(name: str) -> str:
    return name.rpartition("/")[2]


def _fitting(models: Iterable[str], choice: str) -> list[str]:
    """By the name of the file; where no file says so, by that of its folder."""
    pattern = re.compile(rf"(^|[-_./]){re.escape(choice)}([-./]|$)", re.IGNORECASE)
    models = list(models)
    named = [name for name in models if pattern.search(_file_name(name))]
    return named or [name for name in models if pattern.search(name)]


def _only(models: Collection[str], fitting: Collection[str], choice: str, repo: str) -> str:
    plain = [name for name in fitting if not _SIDE_WORD.search(_file_name(name))]
    if len(fitting) == 1 or len(plain) == 1:
        return next(iter(plain if len(plain) == 1 else fitting))
    shown = sorted(fitting or models)
    listed = ", ".join(map(ascii, shown[:MAX_SHOWN])) + (" ..." if len(shown) > MAX_SHOWN else "")
    why = f"{len(fitting)} files fit" if fitting else "no file fits"
    raise UsageError(f"hf:{repo}: {choice}: {why}; name one of: {listed or '(there is no GGUF)'}")
