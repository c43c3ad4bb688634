"""Opens a model source on this node: its header, its hash, and where to read weights, nearest first."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from cluster.api.errors import ModelFileError, UnreachableError, UsageError
from cluster.cutting.header import Header, parse_header, read_part
from cluster.cutting.servable import Servable, check_servable
from cluster.sources.cache import SourceCache
from cluster.sources.peer import open_from_peers, open_peers
from cluster.sources.remote_header import fetch_header
from cluster.sources.source import FilePart, HubPart, ModelSource, Part, UrlPart
from cluster.store.fingerprint import Range, fingerprint, sample_ranges
from cluster.store.opened import OpenModel
from cluster.store.origin import FileOrigin, Origin
from cluster.store.parts import merge_parts, part_starts
from cluster.store.transfer import covers
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.access.keys import Keys
from ggml.gguf.cursor import HeaderIncomplete

_NUM_READS = 16  # small ones


def open_model(source: ModelSource, model_hash: str = "", keys: Keys | None = None) -> OpenModel:
    """The model at `source`, which must have `model_hash` unless that is "".

    Files on this node come first, then the peers, then hub or URL. Of what is far away only headers and samples
    are read, and remembered. `keys`: of this node, with which peers are asked. ModelFileError where it is damaged or
    another model, UnsupportedModelError before any weight is read; UsageError, UnreachableError.
    """
    peers = [peer.endpoint(keys) for peer in source.peers] if model_hash else []
    paths = _local_paths(source)
    if paths is not None:
        try:
            return _open_files(source, paths, model_hash)
        except ModelFileError:
            if not peers:
                raise
    if not isinstance(source.parts[0], FilePart):
        return _open_remote(source, model_hash, peers)
    if not peers:
        raise _not_here(source.parts)
    return _open_peers(source, model_hash, peers)


def _local_paths(source: ModelSource) -> list[str] | None:
    """Where the parts are on this node; None if they are not all here."""
    paths = [path for part in source.parts if (path := _local_path(part)) is not None]
    return paths if len(paths) == len(source.parts) else None


def _local_path(part: Part) -> str | None:
    if isinstance(part, UrlPart):
        return None
    path = Path(part.path) if isinstance(part, FilePart) else _cached_path(part)
    try:
        return str(path) if path is not None and path.stat().st_size == part.size_bytes else None
    except OSError:
        return None


def _not_here(parts: Sequence[Part]) -> ModelFileError:
    missing = [part.path for part in parts if isinstance(part, FilePart) and _local_path(part) is None]
    why = "not there, or of another size than where the cluster was started"
    return ModelFileError(f"{missing[0]}: file: {why}; put it back, or name a node that serves it")


def _open_files(source: ModelSource, paths: Sequence[str], model_hash: str) -> OpenModel:
    parts = [read_part(path) for path in paths]
    model = check_servable(merge_parts(parts))
    starts = part_starts([part.file_size_bytes for part in parts])
    origins = tuple(
        FileOrigin(path, part.file_size_bytes, part.mtime_ns, start)
        for path, part, start in zip(paths, parts, starts, strict=True)
    )
    found = _hash(model, origins, model_hash)
    whole = Path(paths[0]) if len(paths) == 1 else None
    return OpenModel(source.shown_name, model, found, source.version, origins, whole)


def _open_remote(source: ModelSource, model_hash: str, peers: Sequence[Endpoint]) -> OpenModel:
    origins = tuple(map(_remote_origin, source.parts, part_starts([part.size_bytes for part in source.parts])))
    cache = SourceCache()
    remembered = cache.headers(source)
    header = _parse_all(source, remembered[1]) if remembered else None
    if remembered and header:
        model = check_servable(header)
        found = _same_hash(model, remembered[0], model_hash)
    else:
        with ThreadPoolExecutor(_NUM_READS) as pool:
            fetched = list(pool.map(fetch_header, origins, [part.size_bytes for part in source.parts]))
        model = check_servable(merge_parts([part_header for part_header, _ in fetched]))
        found = _hash(model, origins, model_hash)
        cache.remember_headers(source, found, [data for _, data in fetched])
    near = open_peers(peers, found, model.header) if peers else ()
    return OpenModel(source.shown_name, model, found, source.version, (*near, *origins))


def _parse_all(source: ModelSource, parts: Sequence[bytes]) -> Header | None:
    """The remembered header, None if it is damaged."""
    try:
        sizes = [part.size_bytes for part in source.parts]
        return merge_parts(
            [parse_header(memoryview(data), source.shown_name, size) for data, size in zip(parts, sizes, strict=True)]
        )
    except (UsageError, HeaderIncomplete):
        return None


def _remote_origin(part: Part, start: int) -> Origin:
    if isinstance(part, HubPart):
        from cluster.sources import hub

        return hub.origin(part, start)
    assert isinstance(part, UrlPart), "the parts are all of one kind"
    from cluster.sources.http import HttpOrigin

    return HttpOrigin(part.url, part.size_bytes, part.etag, start)


def _open_peers(source: ModelSource, model_hash: str, peers: Sequence[Endpoint]) -> OpenModel:
    """From nodes alone: the header of the first that answers, the weights of all that have some.

    Each of them says that it has the model of this hash. It is checked where they have all samples together.
    """
    header, origins = open_from_peers(peers, model_hash, source.display_name)
    model = check_servable(header)
    if all(_holders(origins, place) for place in sample_ranges(header)):
        _hash(model, origins, model_hash)
    return OpenModel(source.shown_name, model, model_hash, source.version, origins)


def _hash(model: Servable, origins: Sequence[Origin], model_hash: str) -> str:
    """It takes a checked model, so that what cannot be served is refused before any weight is read."""
    with ThreadPoolExecutor(_NUM_READS) as pool:
        samples = list(pool.map(partial(_sample, origins), sample_ranges(model.header)))
    return _same_hash(model, fingerprint(model.header, samples), model_hash)


def _sample(origins: Sequence[Origin], place: Range) -> bytes:
    """From the nearest origin that has it and answers."""
    holders = _holders(origins, place)
    for origin in holders[:-1]:
        with suppress(UnreachableError):
            return b"".join(origin.read(*place))
    return b"".join(holders[-1].read(*place))


def _holders(origins: Sequence[Origin], place: Range) -> list[Origin]:
    return [origin for origin in origins if covers(origin.covers, *place)]


def _same_hash(model: Servable, found: str, model_hash: str) -> str:
    if model_hash not in ("", found):
        raise ModelFileError(
            f"{model.header.path}: is another model (hash {found[:12]}) than the one to be served ({model_hash[:12]}); "
            "put the same file on all nodes, or on one only"
        )
    return found


def _cached_path(part: HubPart) -> Path | None:
    from cluster.sources import hub

    return hub.cached_path(part)
