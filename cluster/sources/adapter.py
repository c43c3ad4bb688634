"""LoRA adapters of a cluster: files where it was started, as FILE or FILE:SCALE, which lends them to other nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cluster.api.errors import ClusterError, HandshakeError, ModelFileError, UnreachableError, UsageError
from cluster.cutting.adapter import Adapter, AdapterPlan, adapter_part, check_adapter
from cluster.cutting.header import Header, read_header
from cluster.cutting.model import Model
from cluster.sources.name import parse_adapter
from cluster.sources.peer import open_from_peers
from cluster.sources.source import AdapterSource
from cluster.store.fingerprint import fingerprint, sample_ranges
from cluster.store.origin import FileOrigin, Origin
from cluster.store.transfer import covers
from cluster.wire.access.endpoint import Endpoint
from ggml.gguf.encode import aligned


@dataclass(frozen=True, slots=True)
class OpenAdapter:
    """An adapter that fits the model, and where its bytes are."""

    source: AdapterSource
    adapter: Adapter
    origin: Origin


def find_adapter(text: str, model: Model) -> AdapterSource:
    """What stages are told of the adapter that `text` names. Errors as for `open_adapter`."""
    return open_adapter(text, model).source


def open_adapter(text: str, model: Model) -> OpenAdapter:
    """The adapter that `text` names. UsageError, which names the file, unless it is there and fits the model."""
    path, scale = parse_adapter(text)
    return _open_file(path, scale, model)


def reopen_adapter(source: AdapterSource, model: Model) -> OpenAdapter:
    """The file on this node, which must be what it was: all stages must compute with the same. UsageError."""
    found = _open_file(source.path, source.scale, model)
    if found.source != source:
        raise UsageError(f"lora: {source.path}: was written to since the start; run cluster down, then cluster up")
    return found


def read_adapter_part(
    source: AdapterSource, model: Model, first: int, end: int, peers: Sequence[Endpoint] = ()
) -> bytes:
    """The GGUF for the slice [first, end) of the model; b"" where the adapter adds nothing to it.

    From the file on this node, if it is there as it was where the cluster was started; else from the first of `peers`
    that lends it. UsageError where nobody has it any more, or what came is another; UnreachableError.
    """
    found = _open_anywhere(source, model, peers)
    part = adapter_part(found.adapter, model, first, end)
    return b"".join(_bytes_of(part, found.origin)) if part.tensors else b""


def _open_anywhere(source: AdapterSource, model: Model, peers: Sequence[Endpoint]) -> OpenAdapter:
    try:
        return reopen_adapter(source, model)
    except UsageError as error:
        reason: ClusterError = error
    for peer in peers:
        try:
            return _open_at(source, model, peer)
        except HandshakeError:
            pass  # it lends the model only
        except UnreachableError as error:
            reason = error
    raise reason


def _open_at(source: AdapterSource, model: Model, peer: Endpoint) -> OpenAdapter:
    """UnreachableError, HandshakeError; UsageError where what it sends is another."""
    header, (origin,) = open_from_peers([peer], source.hash, source.info.name)
    adapter = _checked(header, model)
    whole = all(covers(origin.covers, *place) for place in sample_ranges(header))
    if not whole or _hash_of(header, origin) != source.hash:
        raise UsageError(f"lora: {source.info.name}: {origin.name} sent another; update that node, then cluster up")
    return OpenAdapter(source, adapter, origin)


def _open_file(path: str, scale: float, model: Model) -> OpenAdapter:
    if not os.path.isfile(path):
        raise UsageError(f"lora: {path}: no such file; give the path of a GGUF, and --lora once for each of several")
    try:
        header = read_header(path)
    except ModelFileError as error:
        raise _no_adapter(error) from error
    adapter = _checked(header, model)
    origin = FileOrigin(path, header.file_size_bytes, header.mtime_ns)
    source = AdapterSource(path, header.file_size_bytes, header.mtime_ns, scale, _hash_of(header, origin))
    return OpenAdapter(source, adapter, origin)


def _checked(header: Header, model: Model) -> Adapter:
    try:
        return check_adapter(header, model)
    except ModelFileError as error:
        raise _no_adapter(error) from error


def _no_adapter(error: ModelFileError) -> UsageError:
    return UsageError(f"lora: {error}; give an adapter as llama.cpp's convert_lora_to_gguf.py writes it")


def _hash_of(header: Header, origin: Origin) -> str:
    return fingerprint(header, [b"".join(origin.read(*place)) for place in sample_ranges(header)])


def _bytes_of(part: AdapterPlan, origin: Origin) -> Iterator[bytes]:
    yield part.header_bytes
    for tensor in part.tensors:
        begin = tensor.source_offset or 0
        yield from origin.read(begin, begin + tensor.size_bytes)
        yield bytes(aligned(tensor.size_bytes) - tensor.size_bytes)
