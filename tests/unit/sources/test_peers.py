"""Weights from another node: the same slice, by tensor, checked; hostile askers and hostile servers."""

from __future__ import annotations

import hashlib
import itertools
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
import pytest

from cluster.api.errors import (
    ClusterError,
    HandshakeError,
    ModelFileError,
    UnauthenticatedError,
    UnreachableError,
    UsageError,
)
from cluster.cutting.cut import cut
from cluster.cutting.header import Header, read_header
from cluster.cutting.rules import check
from cluster.messages.stage import PROTOCOL_VERSION
from cluster.sources import peer, retry
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.sources.served import ServedModel, lent, serve_weights
from cluster.sources.source import FilePart, ModelSource, Peer
from cluster.sources.stored import stored_slice, stored_vocabulary
from cluster.store import transfer
from cluster.store.fingerprint import tensors_by_name
from cluster.store.opened import OpenModel
from cluster.store.slices import SliceStore
from cluster.trust.identity import Identity
from cluster.wire.access.endpoint import Listener
from cluster.wire.access.gate import Gate
from cluster.wire.access.keys import Keys
from cluster.wire.access.strangers import Strangers
from cluster.wire.codec.weights import MAX_READ_BYTES, TensorRanges
from cluster.wire.transport.methods import method_path, register, serialize
from cluster.wire.weights.client import WeightsClient
from cluster.wire.weights.server import WeightsServer
from protos import weights_pb2
from tests.fakes.certificates import FakeAuthority
from tests.fakes.opened import opened
from tests.fakes.range_server import RangeServer
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.fakes.wire_backends import SECRET, endpoint, open_proving_channel


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    monkeypatch.setattr(retry.time, "sleep", lambda seconds: None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "model.gguf", TinyModel("gemma3", tied=True, width=256, feed_forward=1024))


@pytest.fixture
def header(path: Path) -> Header:
    return read_header(path)


@pytest.fixture
def model(path: Path) -> OpenModel:
    return open_model(resolve(str(path)))


class Counted(ServedModel):
    """Counts the bytes that go out, and can be told to fail from some read on."""

    sent_bytes = 0
    fail_after = -1
    num_refused = 0

    def read(self, tensor: int, begin: int, end: int) -> Iterator[bytes]:
        if self.fail_after == 0:
            self.num_refused += 1
            raise UnreachableError("disk: gone; put it back")
        self.fail_after -= 1
        for chunk in super().read(tensor, begin, end):
            self.sent_bytes += len(chunk)
            yield chunk


@contextmanager
def serving(backend: ServedModel) -> Iterator[Peer]:
    server = WeightsServer(backend, Listener(SECRET))
    address = server.start()
    try:
        yield Peer(address, SECRET)
    finally:
        server.stop()


def elsewhere(path: Path, *peers: Peer) -> ModelSource:
    """The source of `path` as a node sees it where that path does not lead anywhere."""
    (part,) = resolve(str(path)).parts
    assert isinstance(part, FilePart)
    return ModelSource(str(path), (replace(part, path=f"/nowhere{path}"),), peers)


def fetch(source: ModelSource, model_hash: str, first: int, end: int) -> bytes:
    return stored_slice(source, model_hash, first, end, lambda *_: None).path.read_bytes()


def expected(path: Path, first: int, end: int) -> bytes:
    return SliceStore(path.parent / "expected").get_slice(opened(path), first, end).path.read_bytes()


def test_a_slice_from_a_peer_is_the_slice_from_the_file(path: Path, header: Header, model: OpenModel) -> None:
    served = Counted(model)
    with serving(served) as node:
        source = elsewhere(path, node)
        reports: list[str] = []
        stored = stored_slice(source, model.hash, 1, 3, lambda phase, _: reports.append(phase))
        assert stored.path.read_bytes() == expected(path, 1, 3)
        assert set(reports) == {"fetching"}
        weight_bytes = cut(check(header), 1, 3).weight_bytes
        assert weight_bytes <= served.sent_bytes < 1.01 * weight_bytes + 64 * 256
        before = served.sent_bytes
        assert fetch(source, model.hash, 1, 3) == expected(path, 1, 3)
        assert served.sent_bytes == before, "a warm restart moves nothing"
        assert read_header(stored_vocabulary(source, model.hash).path).metadata == dict(header.metadata)


def test_the_whole_model_from_a_peer(path: Path, model: OpenModel) -> None:
    with serving(ServedModel(model)) as node:
        stored = stored_slice(elsewhere(path, node), model.hash, 0, 4, lambda *_: None)
    found, one = read_header(stored.path), read_header(path)
    data, original = stored.path.read_bytes(), path.read_bytes()
    by_name = {info.name: info for info in found.tensors}
    for info in one.tensors:
        begin, start = found.data_start + by_name[info.name].offset, one.data_start + info.offset
        assert data[begin : begin + info.size_bytes] == original[start : start + info.size_bytes]


def test_peers_that_have_slices_only(path: Path, model: OpenModel, tmp_path: Path) -> None:
    """One node has layers 0 and 1, the other 2 and 3; a third takes 1 and 2 from them."""
    with ExitStack() as stack:
        peers = []
        for first, end in ((0, 2), (2, 4)):
            store = SliceStore(tmp_path / f"node{first}")
            store.get_slice(opened(path), first, end)
            remote = replace(model, origins=(), path=None)
            peers.append(stack.enter_context(serving(ServedModel(remote, store.origins_of(remote)))))
        assert fetch(elsewhere(path, *peers), model.hash, 1, 3) == expected(path, 1, 3)
        with pytest.raises(ModelFileError, match="no node and no address has them"):
            fetch(elsewhere(path, peers[0]), model.hash, 1, 4)


def test_where_one_peer_is_gone_the_next_is_asked(
    path: Path, model: OpenModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = Counted(model), Counted(model)
    bad.fail_after = 70
    with serving(bad) as first, serving(good) as second:
        monkeypatch.setattr(transfer, "CHUNK_BYTES", 32 << 10)
        source = elsewhere(path, Peer("127.0.0.1:1", SECRET), first, second)
        assert fetch(source, model.hash, 0, 3) == expected(path, 0, 3)
    assert good.sent_bytes > 0
    assert bad.num_refused <= 8 * 4, "who is lost is not asked again and again: 8 reads at once, 4 tries each"


def test_a_lost_peer_is_an_error_and_the_next_try_goes_on(path: Path, header: Header, model: OpenModel) -> None:
    served = Counted(model)
    served.fail_after = len(header.tensors) + 10
    with serving(served) as node, pytest.raises(UnreachableError, match="disk: gone"):
        fetch(elsewhere(path, node), model.hash, 0, 3)
    again = Counted(model)
    with serving(again) as node:
        assert fetch(elsewhere(path, node), model.hash, 0, 3) == expected(path, 0, 3)
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1"):
        fetch(elsewhere(path, Peer("127.0.0.1:1", SECRET)), model.hash, 2, 4)


def test_a_peer_is_nearer_than_the_web(path: Path, model: OpenModel) -> None:
    with RangeServer({"/model.gguf": path.read_bytes()}).running() as web, serving(Counted(model)) as node:
        source = replace(resolve(f"{web.url}/model.gguf"), peers=(Peer("127.0.0.1:1", SECRET), node))
        model_hash = open_model(source).hash
        before = len(web.sent)
        assert fetch(source, model_hash, 1, 3) == expected(path, 1, 3)
        assert web.sent_bytes(before) == 0


def test_a_file_here_that_is_another_model_is_not_taken(path: Path, model: OpenModel, tmp_path: Path) -> None:
    other = write_tiny(tmp_path / "other.gguf", TinyModel("gemma3", tied=True, width=256, feed_forward=1024, seed=1))
    source = resolve(str(other))
    with pytest.raises(ModelFileError, match=r"is another model .* put the same file on all nodes, or on one only"):
        fetch(source, model.hash, 1, 3)
    with serving(ServedModel(model)) as node:
        assert fetch(replace(source, peers=(node,)), model.hash, 1, 3) == expected(path, 1, 3)


def test_a_path_that_is_not_here_is_told(path: Path, model: OpenModel) -> None:
    with pytest.raises(ModelFileError, match=r"/nowhere.*model\.gguf: file: not there"):
        fetch(elsewhere(path), model.hash, 1, 3)


def test_another_model_is_refused_with_both_hashes(path: Path, model: OpenModel) -> None:
    with (
        serving(ServedModel(model)) as node,
        pytest.raises(HandshakeError, match=f"model_hash: '{'0' * 12}' is asked for, '{model.hash[:12]}' is served"),
    ):
        fetch(elsewhere(path, node), "0" * 64, 1, 3)


def test_a_node_that_has_nothing_serves_nothing(model: OpenModel) -> None:
    with pytest.raises(UsageError, match="nothing of it is on this node"):
        serve_weights(replace(model, origins=()), Keys(SECRET))
    source = resolve(model.name)
    with lent(source, replace(model, origins=()), Keys(SECRET)) as told:
        assert told == source


def test_between_nodes_weights_come_over_tls(path: Path, model: OpenModel) -> None:
    """What other nodes are told holds no key of a node; each asks with its own."""
    authority = FakeAuthority.new()
    identities = [authority.identity(name) for name in ("node-1", "node-2")]
    first, second = (Keys(SECRET, partial(_same, one), one.name, "127.0.0.2") for one in identities)
    with lent(elsewhere(path), model, first) as told:
        (peer,) = told.peers
        assert peer.node == "node-1"
        assert identities[0].key_pem not in pickle.dumps(told)
        got = stored_slice(told, model.hash, 1, 3, lambda *_: None, second).path.read_bytes()
        assert got == expected(path, 1, 3)
        stranger = Keys(SECRET, partial(_same, FakeAuthority.new("zzzzzz").identity("node-2")), "node-2")
        with pytest.raises(UnauthenticatedError, match="its certificate is one of another cluster"):
            stored_slice(told, model.hash, 2, 4, lambda *_: None, stranger)
        with pytest.raises(UnauthenticatedError, match="it speaks TLS only"):
            stored_slice(told, model.hash, 2, 4, lambda *_: None)


def _same(identity: Identity) -> Identity:
    return identity


# --- Hostile askers


def ask(node: Peer, method: str, request: bytes) -> list[bytes]:
    with open_proving_channel(node.address) as channel:
        call = channel.unary_stream(method_path("Weights", method), None, bytes)
        return list(call(request, timeout=10))


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"protocol_version": PROTOCOL_VERSION + 1}, "FAILED_PRECONDITION", "protocol_version"),
        ({"model_hash": "0" * 64}, "FAILED_PRECONDITION", "model_hash"),
        ({"model_hash": "a" * 65}, "INVALID_ARGUMENT", "model_hash: length"),
        ({"model_hash": "../../etc/passwd"}, "FAILED_PRECONDITION", "model_hash"),
        ({"tensor": 5000}, "INVALID_ARGUMENT", "tensor: 5000 of"),
        ({"tensor": (1 << 32) - 1}, "INVALID_ARGUMENT", "tensor: 4294967295 is out of range"),
        ({"begin": 8, "end": 8}, "INVALID_ARGUMENT", "end: 8 is out of range"),
        ({"begin": 8, "end": 7}, "INVALID_ARGUMENT", "end: 7 is out of range"),
        ({"end": 1 << 40}, "INVALID_ARGUMENT", "end: 1099511627776 is out of range"),
        ({"begin": (1 << 64) - 1, "end": 1}, "INVALID_ARGUMENT", "begin: 18446744073709551615 is out of range"),
    ],
)
def test_a_wrong_request_is_refused(model: OpenModel, wrong: dict[str, object], status: str, said: str) -> None:
    sound = {"protocol_version": PROTOCOL_VERSION, "model_hash": model.hash, "tensor": 0, "begin": 0, "end": 8}
    with serving(ServedModel(model)) as node:
        good = ask(node, "ReadTensor", weights_pb2.ReadTensorRequest(**sound).SerializeToString())  # type: ignore[arg-type]
        assert len(good) == 1
        request = weights_pb2.ReadTensorRequest(**{**sound, **wrong})  # type: ignore[arg-type]
        with pytest.raises(grpc.RpcError) as caught:
            ask(node, "ReadTensor", request.SerializeToString())
    assert caught.value.code().name == status
    assert said in caught.value.details()


@pytest.mark.parametrize("method", ["DescribeModel", "ReadTensor"])
def test_bytes_that_are_no_request_are_refused(model: OpenModel, method: str) -> None:
    with serving(ServedModel(model)) as node, pytest.raises(grpc.RpcError) as caught:
        ask(node, method, b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_request_reads_no_more_than_its_limit(model: OpenModel) -> None:
    class Large(ServedModel):
        def tensor_bytes(self, tensor: int) -> int:
            return 1 << 50

    with serving(Large(model)) as node:
        client = WeightsClient(node.endpoint(None), model.hash)
        with pytest.raises(UsageError, match=f"it must be from 1 to {MAX_READ_BYTES}"):
            list(client.read(0, 0, MAX_READ_BYTES + 1))
        client.close()


# --- Hostile servers


class Liar:
    """A weights server that answers as told."""

    def __init__(
        self, header: list[weights_pb2.HeaderPart], weights: Callable[[], list[weights_pb2.WeightsPart]]
    ) -> None:
        strangers = Strangers()
        self._server = grpc.server(ThreadPoolExecutor(4), interceptors=[Gate(Listener(SECRET), strangers)])
        methods = {"DescribeModel": lambda *_: iter(header), "ReadTensor": lambda *_: iter(weights())}
        register(self._server, "Weights", methods)
        strangers.port = self._server.add_insecure_port("127.0.0.1:0")
        self.peer = Peer(f"127.0.0.1:{strangers.port}", SECRET)
        self._server.start()

    def __enter__(self) -> Liar:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()


def header_part(data: bytes, size_bytes: int, *held: tuple[int, int]) -> weights_pb2.HeaderPart:
    ranges = [weights_pb2.TensorRange(first=first, end=end) for first, end in held]
    return weights_pb2.HeaderPart(header_bytes=size_bytes, held=ranges, data=data)


def weights_part(data: bytes, digest: bytes | None = None) -> weights_pb2.WeightsPart:
    return weights_pb2.WeightsPart(data=data, sha256=hashlib.sha256(data).digest() if digest is None else digest)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], "0 of 0 bytes came"),
        ([header_part(b"x", 0)], "header_bytes: 0 is out of range"),
        ([header_part(b"x", 1 << 40)], "header_bytes: 1099511627776 is out of range"),
        ([header_part(b"xx", 1)], "header: length 2 is over the limit"),
        ([header_part(b"x", 9)], "1 of 9 bytes came"),
        ([header_part(bytes((1 << 20) + 1), 1 << 21)], "data: length"),
        ([header_part(b"x", 1, (3, 2))], "held.end: 2"),
        ([header_part(b"x", 1, (0, 9), (5, 10))], "held.first: 5"),
        ([header_part(b"x", 1, (0, 1 << 30))], "held.end"),
        ([header_part(b"GGUX" + bytes(60), 64)], "magic"),
        ([header_part(b"GGUF\3" + bytes(3) + b"\xff" * 16, 24)], "over the limit"),
    ],
)
def test_a_header_that_lies_is_refused(
    path: Path, model: OpenModel, parts: list[weights_pb2.HeaderPart], said: str
) -> None:
    with Liar(parts, list) as liar, pytest.raises(ClusterError, match=said.replace(".", r"\.")):
        fetch(elsewhere(path, liar.peer), model.hash, 1, 3)


def sound_header(model: OpenModel, *held: tuple[int, int]) -> list[weights_pb2.HeaderPart]:
    data = ServedModel(model).header
    return [header_part(data, len(data), *held)]


@pytest.mark.parametrize(
    ("weights", "kind", "said"),
    [
        (lambda: [weights_part(b"x" * 256, bytes(32))], UnreachableError, "came damaged"),
        (lambda: [weights_part(b"x" * 256, b"")], UnreachableError, "came damaged"),
        (lambda: [weights_part(b"x" * 256, bytes(33))], UsageError, "sha256: length 33"),
        (lambda: [weights_part(b"x" * 257)], UsageError, "other bytes than were asked for"),
        (lambda: [weights_part(b"")], UsageError, "other bytes than were asked for"),
        (lambda: itertools.repeat(weights_part(b"x" * 200)), UsageError, "other bytes than were asked for"),
        (lambda: [weights_part(b"x" * 256)], ModelFileError, "is another model"),
    ],
)
def test_weights_that_lie_are_refused(
    path: Path,
    model: OpenModel,
    weights: Callable[[], list[weights_pb2.WeightsPart]],
    kind: type[ClusterError],
    said: str,
) -> None:
    num_tensors = len(model.model.header.tensors)
    with Liar(sound_header(model, (0, num_tensors)), weights) as liar, pytest.raises(kind, match=said):
        fetch(elsewhere(path, liar.peer), model.hash, 1, 3)


def test_a_peer_that_claims_tensors_beyond_the_last(path: Path, model: OpenModel) -> None:
    with Liar(sound_header(model, (0, 5000)), list) as liar, pytest.raises(ModelFileError, match="tensor 4999 of"):
        fetch(elsewhere(path, liar.peer), model.hash, 1, 3)


def test_indices_are_those_of_the_sorted_names(model: OpenModel) -> None:
    """What both ends must agree on, whatever the order in their files."""
    served = ServedModel(model)
    held: TensorRanges = served.held
    names = [info.name for info in tensors_by_name(model.model.header)]
    assert (held, names) == (((0, len(names)),), sorted(names))
    assert peer.open_peers([endpoint("127.0.0.1:1")], model.hash, model.model.header) == ()
    assert served.tensor_bytes(0) == next(i.size_bytes for i in model.model.header.tensors if i.name == names[0])
    assert serialize(weights_pb2.DescribeModelRequest()) == b""
