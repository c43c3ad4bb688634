"""A model, or an adapter for it, as a node serves it to others: what is on its own disk, by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from cluster.api.errors import UsageError
from cluster.cutting.header import Header
from cluster.node.secret import Secret
from cluster.sources.adapter import OpenAdapter, reopen_adapter
from cluster.sources.source import AdapterSource, ModelSource, Peer
from cluster.store.fingerprint import portable_metadata, tensors_by_name
from cluster.store.opened import OpenModel
from cluster.store.origin import Origin
from cluster.store.transfer import covers
from cluster.wire.access.keys import Keys
from cluster.wire.weights.server import WeightsServer
from ggml.gguf.encode import encode_header

TensorRanges = tuple[tuple[int, int], ...]


class ServedTensors:
    """Implements `wire.weights_server.WeightsBackend`. Only files are read: a request causes no others."""

    def __init__(self, model_hash: str, header: Header, origins: Sequence[Origin]) -> None:
        """`model_hash`: what is asked for; an adapter's, too."""
        self.model_hash = model_hash
        self.header = encode_header(portable_metadata(header), header.tensors)
        self._begin = header.data_start
        self._tensors = tensors_by_name(header)
        local = [origin for origin in origins if origin.is_local]
        self._origins = [self._holder(local, index) for index in range(len(self._tensors))]

    @property
    def held(self) -> TensorRanges:
        ranges: list[tuple[int, int]] = []
        for index, origin in enumerate(self._origins):
            if origin is None:
                continue
            if ranges and ranges[-1][1] == index:
                ranges[-1] = (ranges[-1][0], index + 1)
            else:
                ranges.append((index, index + 1))
        return tuple(ranges)

    def tensor_bytes(self, tensor: int) -> int:
        if tensor >= len(self._tensors) or self._origins[tensor] is None:
            raise UsageError(f"tensor: {tensor} of {len(self._tensors)} is not on this node; ask another")
        return self._tensors[tensor].size_bytes

    def read(self, tensor: int, begin: int, end: int) -> Iterator[bytes]:
        origin = self._origins[tensor]
        assert origin is not None, "checked by tensor_bytes"
        start = self._begin + self._tensors[tensor].offset
        return origin.read(start + begin, start + end)

    def _holder(self, origins: Sequence[Origin], tensor: int) -> Origin | None:
        info = self._tensors[tensor]
        begin = self._begin + info.offset
        return next((origin for origin in origins if covers(origin.covers, begin, begin + info.size_bytes)), None)


class ServedModel(ServedTensors):
    """What this node has of a model."""

    def __init__(self, opened: OpenModel, slices: Sequence[Origin] = ()) -> None:
        """`slices` hold tensors beside the model's own files, such as `SliceStore.origins_of(opened)`."""
        super().__init__(opened.hash, opened.model.header, (*opened.origins, *slices))


class ServedAdapter(ServedTensors):
    """An adapter whose file is on this node."""

    def __init__(self, found: OpenAdapter) -> None:
        super().__init__(found.source.hash, found.adapter.header, (found.origin,))


def serve_weights(opened: OpenModel, keys: Keys, slices: Sequence[Origin] = ()) -> WeightsServer:
    """A server, not started, for what this node has of `opened`, to those who know the secret of `keys`.

    UsageError where it has nothing.
    """
    served = ServedModel(opened, slices)
    if not served.held:
        raise UsageError(f"{opened.name}: nothing of it is on this node; serve it from one that has the file")
    return WeightsServer(served, keys.listener)


@contextmanager
def lent(
    source: ModelSource, opened: OpenModel, keys: Keys, adapters: Sequence[AdapterSource] = ()
) -> Iterator[ModelSource]:
    """`source` as other nodes are told of it: in the block, this process lends them what is in its own files.

    `opened` is `source`, opened here; `keys` are this node's, and say where it listens. Without files here, it is
    `source` as it was. The secret that is asked is made for this lending, and told with the source. `adapters` are for
    that model, and their files are here; UsageError where one is not what it was.
    """
    if not adapters and not any(origin.is_local for origin in opened.origins):
        yield source
        return
    secret = Secret.new()
    added = [ServedAdapter(reopen_adapter(adapter, opened.gguf)) for adapter in adapters]
    server = WeightsServer(ServedModel(opened), keys.asking(secret).listener, added)
    try:
        yield replace(source, peers=(*source.peers, Peer(server.start(), secret, keys.node)))
    finally:
        server.stop()
