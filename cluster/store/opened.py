"""A model whose header is known and whose bytes can be read from somewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.gguf.header import Header
from cluster.store.fingerprint import model_hash
from cluster.store.origin import FileOrigin, Origin


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A checked header and where the bytes are.

    `name` is for people. `version` changes whenever the source does (times of files, ETags). `path` is the one
    local file that is the whole model, None where there is no such file. `origins`: the nearest first.
    """

    name: str
    header: Header
    hash: str
    version: str
    origins: tuple[Origin, ...]
    path: Path | None = None


def open_file(path: str | os.PathLike[str], header: Header) -> OpenModel:
    """The model in one local file. ModelFileError if `header` is not this file's."""
    source = os.path.abspath(path)
    origin = FileOrigin(source, header.file_size_bytes, header.mtime_ns)
    version = file_version([header])
    return OpenModel(source, header, model_hash(source, header), version, (origin,), Path(source))


def file_version(parts: Sequence[Header]) -> str:
    """The version of a model in local files."""
    return ",".join(f"{part.file_size_bytes}@{part.mtime_ns}" for part in parts)
