"""Another node that has the model, as a place to read from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from cluster.errors import CapacityError, ClusterError, ModelFileError, UnreachableError
from cluster.gguf.cursor import HeaderIncomplete
from cluster.gguf.fingerprint import Range, tensors_by_name
from cluster.gguf.header import Header
from cluster.gguf.origin import read_across
from cluster.gguf.reader import parse_header
from cluster.sources.retry import DroppedError, Patience, read_on
from cluster.wire.weights_client import WeightsClient

_PATIENCE = Patience(max_failures=4)
_UNKNOWN_SIZE_BYTES = 1 << 62


@dataclass(frozen=True, slots=True)
class HeldTensor:
    """A tensor that the peer has: bytes [begin, end) of the model. `index` as on the wire."""

    begin: int
    end: int
    index: int


@dataclass(frozen=True, slots=True)
class PeerOrigin:
    """The tensors that a node's weights service has, in the model's order."""

    client: WeightsClient
    tensors: tuple[HeldTensor, ...]
    patience: Patience = _PATIENCE
    is_local: bool = False

    @property
    def name(self) -> str:
        return f"weights at {self.client.address}"

    @property
    def covers(self) -> tuple[Range, ...]:
        return tuple((tensor.begin, tensor.end) for tensor in self.tensors)

    def read(self, begin: int, end: int) -> Iterator[bytes]:
        """UnreachableError if the node is gone, HandshakeError if it serves another model now."""
        return read_across(self.tensors, begin, end, self._read_tensor)

    def _read_tensor(self, tensor: HeldTensor, begin: int, end: int) -> Iterator[bytes]:
        return read_on(self.name, partial(self._attempt, tensor.index), begin, end, self.patience)

    def _attempt(self, index: int, begin: int, end: int) -> Iterator[bytes]:
        try:
            yield from self.client.read(index, begin, end)
        except (UnreachableError, CapacityError) as error:
            raise DroppedError(str(error)) from error


def open_peer(address: str, model_hash: str, header: Header) -> PeerOrigin | None:
    """The node at `address`, with what it has of the model of `header`; None if it is not there or has nothing.

    HandshakeError if it serves another model.
    """
    client = WeightsClient(address, model_hash)
    try:
        _, held = client.describe()
    except UnreachableError:
        client.close()
        return None
    tensors = tensors_by_name(header)
    if held and held[-1][1] > len(tensors):
        raise ModelFileError(f"weights at {address}: tensor {held[-1][1] - 1} of {len(tensors)}; update that node")
    indices = [index for first, end in held for index in range(first, end)]
    start = header.data_start
    found = [
        HeldTensor(start + tensors[i].offset, start + tensors[i].offset + tensors[i].size_bytes, i) for i in indices
    ]
    return PeerOrigin(client, tuple(sorted(found, key=lambda tensor: tensor.begin)))


def first_header(addresses: Sequence[str], model_hash: str, name: str) -> Header:
    """The model's header from the first node that answers; the first one's error if none does."""
    errors: list[ClusterError] = []
    for address in addresses:
        client = WeightsClient(address, model_hash)
        try:
            data, _ = client.describe()
            return _parse(data, name)
        except ClusterError as error:
            errors.append(error)
        finally:
            client.close()
    raise errors[0]


def _parse(data: bytes, name: str) -> Header:
    """The header in `data`, which must be whole, of a file that ends with its last tensor."""
    try:
        header = parse_header(memoryview(data), name, _UNKNOWN_SIZE_BYTES)
    except HeaderIncomplete as error:
        raise ModelFileError(f"{name}: header: a node sent only its beginning; update that node") from error
    ends = (header.data_start + info.offset + info.size_bytes for info in header.tensors)
    return replace(header, file_size_bytes=max(ends, default=header.data_start))
