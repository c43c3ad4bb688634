"""Another node that has the model, as a place to read from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from cluster.api.errors import CapacityError, ModelFileError, UnreachableError
from cluster.cutting.header import Header, parse_header
from cluster.sources.retry import DroppedError, Patience, read_on
from cluster.store.fingerprint import Range, tensors_by_name
from cluster.store.origin import read_across
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.codec.weights import TensorRanges
from cluster.wire.weights.client import WeightsClient
from ggml.gguf.cursor import HeaderIncomplete

_PATIENCE = Patience(max_failures=4)
_UNKNOWN_SIZE_BYTES = 1 << 62
_Answer = tuple[WeightsClient, bytes, TensorRanges]


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


def open_peers(peers: Sequence[Endpoint], model_hash: str, header: Header) -> tuple[PeerOrigin, ...]:
    """The nodes that answer, with what each has of the model of `header`.

    HandshakeError if one serves another model, UsageError if its answer is not sound.
    """
    return tuple(_origin(client, held, header) for client, _, held in _ask(peers, model_hash)[0])


def open_from_peers(peers: Sequence[Endpoint], model_hash: str, name: str) -> tuple[Header, tuple[PeerOrigin, ...]]:
    """The same with the header from the first that answers; UnreachableError if none does."""
    answers, errors = _ask(peers, model_hash)
    if not answers:
        raise errors[0]
    header = _parse(answers[0][1], name)
    return header, tuple(_origin(client, held, header) for client, _, held in answers)


def _ask(peers: Sequence[Endpoint], model_hash: str) -> tuple[list[_Answer], list[UnreachableError]]:
    answers, errors = [], []
    for peer in peers:
        client = WeightsClient(peer, model_hash)
        try:
            answers.append((client, *client.describe()))
        except UnreachableError as error:
            errors.append(error)
    return answers, errors


def _origin(client: WeightsClient, held: TensorRanges, header: Header) -> PeerOrigin:
    tensors = tensors_by_name(header)
    if held and held[-1][1] > len(tensors):
        raise ModelFileError(
            f"weights at {client.address}: tensor {held[-1][1] - 1} of {len(tensors)}; update that node"
        )
    found = []
    for index in (index for first, end in held for index in range(first, end)):
        begin = header.data_start + tensors[index].offset
        found.append(HeldTensor(begin, begin + tensors[index].size_bytes, index))
    return PeerOrigin(client, tuple(sorted(found, key=lambda tensor: tensor.begin)))


def _parse(data: bytes, name: str) -> Header:
    """The header in `data`, which must be whole, of a file that ends with its last tensor."""
    try:
        header = parse_header(memoryview(data), name, _UNKNOWN_SIZE_BYTES)
    except HeaderIncomplete as error:
        raise ModelFileError(f"{name}: header: a node sent only its beginning; update that node") from error
    ends = (header.data_start + info.offset + info.size_bytes for info in header.tensors)
    return replace(header, file_size_bytes=max(ends, default=header.data_start))
