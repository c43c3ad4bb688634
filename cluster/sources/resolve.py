"""From what a user typed to a `ModelSource`. Reads no weights: sizes, times and ETags only."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster.api.errors import ModelFileError, UsageError
from cluster.sources.cache import SourceCache
from cluster.sources.name import HUB_PREFIX, check_url, is_remote_name, parse_hub_name
from cluster.sources.source import FilePart, ModelSource, UrlPart
from cluster.store.parts import part_names

_NUM_PROBES = 8


def resolve(name: str) -> ModelSource:
    """The source that a path, hf:org/repo:Q4_K_M or a URL stands for now.

    UsageError (ModelFileError among them) where there is none, UnreachableError where it does not answer.
    """
    if name.startswith(HUB_PREFIX):
        return _resolve_hub(name)
    if is_remote_name(name):
        return _resolve_url(name)
    path = os.path.abspath(name)
    return ModelSource(path, tuple(_file_part(part) for part in part_names(path)))


def _file_part(path: str) -> FilePart:
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(f"{path}: cannot be opened: {reason}") from error
    if not stat.S_ISREG(status.st_mode):
        raise ModelFileError(f"{path}: file: not a regular file")
    return FilePart(path, status.st_size, status.st_mtime_ns)


def _resolve_url(name: str) -> ModelSource:
    from cluster.sources.http import probe

    url, question, query = check_url(name).partition("#")[0].partition("?")
    urls = [part + question + query for part in part_names(url)]
    with ThreadPoolExecutor(_NUM_PROBES) as pool:
        parts = [
            UrlPart(part, found.size_bytes, found.etag) for part, found in zip(urls, pool.map(probe, urls), strict=True)
        ]
    return ModelSource(name, tuple(parts))


def _resolve_hub(name: str) -> ModelSource:
    """Offline: from the hub's cache, else as it was when this node last asked."""
    from cluster.sources import hub

    asked = parse_hub_name(name)
    if not hub.is_offline():
        source = ModelSource(name, hub.resolve_hub(asked))
        SourceCache().remember_resolved(source)
        return source
    cached = hub.resolve_cached(asked)
    remembered = ModelSource(name, cached) if cached else SourceCache().resolved(name)
    if remembered is None:
        raise UsageError(f"{name}: HF_HUB_OFFLINE is set, and the model is not here; unset it once")
    return remembered
