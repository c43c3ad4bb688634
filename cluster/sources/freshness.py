"""Whether a model is still what a cluster loaded: its file, hub repository or URL may have been replaced since."""

from __future__ import annotations

import os

from cluster.api.errors import ClusterError, UnreachableError, UsageError
from cluster.sources.name import is_remote_name
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.sources.source import FilePart, ModelSource

GOES_ON = "the cluster goes on with what it loaded"

FileState = tuple[int, int, int, int, int]


def check_unchanged(name: str, version: str, model_hash: str) -> str:
    """A note where `name` cannot be asked now, or was written again with the same hash; else "".

    UsageError where it is another model now than the one of `model_hash`. `version`: of the source when it was
    loaded, "" if that is not known.
    """
    try:
        source = resolve(name)
    except ClusterError as error:
        return f"{error}; {GOES_ON}"
    is_remote = is_remote_name(name)
    if is_remote and source.version == version and source.is_versioned:
        return ""
    # A file is looked into in any case: whoever replaces it may set its time back.
    try:
        found = open_model(source).hash
    except UnreachableError as error:
        return f"{error}; {GOES_ON}"
    except ClusterError as error:
        raise _another(source, str(error)) from error
    if found != model_hash:
        raise _another(source, f"it has hash {found[:12]}, the cluster serves {model_hash[:12]}")
    if version not in ("", source.version):
        return f"{source.shown_name}: was written again since, and has the same hash; {GOES_ON}"
    return ""


def changed_file(name: str, version: str) -> str:
    """A note where `name` is a path whose files are not those of `version` any more; reads no file. Else ""."""
    if not version or is_remote_name(name):
        return ""
    try:
        source = resolve(name)
    except ClusterError as error:
        return f"{error}; {GOES_ON}"
    if source.version == version:
        return ""
    return f"{source.shown_name}: is not the file any more that the cluster loaded; {GOES_ON} (see: cluster doctor)"


def file_states(source: ModelSource) -> tuple[FileState | None, ...]:
    """What changes when a file is written to or replaced, for each part that is a path; None: it is not there.

    The last of the numbers, the time of the last change to the file's entry, cannot be set by anybody.
    """
    return tuple(_file_state(part.path) for part in source.parts if isinstance(part, FilePart))


def _file_state(path: str) -> FileState | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _another(source: ModelSource, why: str) -> UsageError:
    return UsageError(
        f"{source.shown_name}: not the model any more that the cluster serves: {why}; "
        "put that back, or run cluster down, then cluster up"
    )
