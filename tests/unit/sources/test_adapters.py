"""Adapters on a node that does not have their files: lent by the one that does, checked, and cut for each stage."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cluster.api.errors import UnauthenticatedError, UnreachableError, UsageError
from cluster.cutting.header import read_header
from cluster.node.secret import Secret
from cluster.sources import retry
from cluster.sources.adapter import OpenAdapter, find_adapter, open_adapter, read_adapter_part
from cluster.sources.resolve import resolve
from cluster.sources.served import ServedAdapter, ServedModel, ServedTensors, lent
from cluster.sources.source import AdapterSource, ModelSource
from cluster.sources.stored import stored_slice
from cluster.store.opened import OpenModel
from cluster.store.origin import FileOrigin
from cluster.wire.access.endpoint import Endpoint, Listener
from cluster.wire.access.keys import Keys
from cluster.wire.weights.server import WeightsBackend, WeightsServer
from tests.fakes.adapters import matrices_of, write_adapter
from tests.fakes.certificates import FakeAuthority
from tests.fakes.opened import opened
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.fakes.wire_backends import SECRET

BOUNDS = ((0, 2), (2, 4))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    monkeypatch.setattr(retry.time, "sleep", lambda seconds: None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "model.gguf", TinyModel())


@pytest.fixture
def model(path: Path) -> OpenModel:
    return opened(path)


@pytest.fixture
def adapter(tmp_path: Path, path: Path) -> Path:
    return write_adapter(tmp_path / "a.gguf", path)


@pytest.fixture
def told(adapter: Path, model: OpenModel) -> AdapterSource:
    return find_adapter(f"{adapter}:0.5", model.model)


def elsewhere(source: AdapterSource) -> AdapterSource:
    """As a node is told of it that has no such file."""
    return replace(source, path=f"/nowhere{source.path}")


@contextmanager
def serving(model: OpenModel, *adapters: WeightsBackend) -> Iterator[Endpoint]:
    server = WeightsServer(ServedModel(model), Listener(SECRET), adapters)
    try:
        yield Endpoint(server.start(), SECRET)
    finally:
        server.stop()


def parts(source: AdapterSource, model: OpenModel, *peers: Endpoint) -> list[bytes]:
    return [read_adapter_part(source, model.model, *part, peers) for part in BOUNDS]


def test_its_part_comes_from_the_node_that_lends_it(path: Path, model: OpenModel, told: AdapterSource) -> None:
    """Between nodes, over TLS; with the model, whose slices come from there as well."""
    authority = FakeAuthority.new()
    identities = [authority.identity(name) for name in ("one", "two")]
    first, second = (Keys(SECRET, partial(lambda i: i, one), one.name, "127.0.0.2") for one in identities)
    source = resolve(str(path))
    with lent(source, model, first, (told,)) as lending:
        (peer,) = lending.peers
        assert parts(elsewhere(told), model, peer.endpoint(second)) == parts(told, model)
        with pytest.raises(UnauthenticatedError):
            parts(elsewhere(told), model, peer.endpoint(None))
        with pytest.raises(UnauthenticatedError):
            parts(elsewhere(told), model, replace(peer, secret=Secret.new()).endpoint(second))
        part = source.parts[0]
        far = replace(lending, parts=(replace(part, path=f"/nowhere{path}"),))  # type: ignore[arg-type]
        assert stored_slice(far, model.hash, 2, 4, lambda *_: None, second).path.exists()


def test_where_the_model_is_not_here_its_adapters_are_lent_all_the_same(model: OpenModel, told: AdapterSource) -> None:
    """As of a model from a hub, which each node gets there."""
    far = replace(model, origins=())
    source = ModelSource("hub", ())
    with lent(source, far, Keys(SECRET)) as lending:
        assert lending == source
    with lent(source, far, Keys(SECRET), (told,)) as lending:
        (peer,) = lending.peers
        assert parts(elsewhere(told), model, peer.endpoint(None)) == parts(told, model)


def test_another_file_at_the_same_place_is_not_taken_for_it(
    path: Path, model: OpenModel, adapter: Path, told: AdapterSource, tmp_path: Path
) -> None:
    """Be it of the same size, and with the same time."""
    expected = parts(told, model)
    kept = tmp_path / "kept.gguf"
    kept.write_bytes(adapter.read_bytes())
    os.utime(kept, ns=(told.mtime_ns, told.mtime_ns))
    write_adapter(adapter, path, matrices_of(path, seed=1))
    os.utime(adapter, ns=(told.mtime_ns, told.mtime_ns))
    with serving(model, ServedAdapter(open_adapter(f"{kept}:0.5", model.model))) as peer:
        assert parts(told, model, peer) == expected
        assert parts(elsewhere(told), model, peer) == expected
    with pytest.raises(UsageError, match=f"lora: {adapter}: was written to since the start"):
        parts(told, model)


def test_who_has_it_not_is_passed_over(model: OpenModel, told: AdapterSource, adapter: Path) -> None:
    nobody = Endpoint("127.0.0.1:1", SECRET)
    with (
        serving(model) as model_only,
        serving(model, ServedAdapter(open_adapter(str(adapter), model.model))) as lender,
    ):
        assert parts(elsewhere(told), model, nobody, model_only, lender) == parts(told, model)
        with pytest.raises(UsageError, match=r"lora: /nowhere.*: no such file"):
            parts(elsewhere(told), model, model_only)
        with pytest.raises(UnreachableError, match="weights at 127"):
            parts(elsewhere(told), model, nobody, model_only)


def test_a_file_that_was_written_to_is_not_lent(
    path: Path, model: OpenModel, adapter: Path, told: AdapterSource
) -> None:
    source = resolve(str(path))
    with lent(source, model, Keys(SECRET), (told,)) as lending:
        write_adapter(adapter, path, matrices_of(path, seed=1))
        os.utime(adapter, ns=(0, 0))
        with pytest.raises(UsageError, match="file: changed after its header was read"):
            parts(elsewhere(told), model, lending.peers[0].endpoint(None))
    with pytest.raises(UsageError, match="was written to since the start"), lent(source, model, Keys(SECRET), (told,)):
        pass


# --- Hostile lenders, who say that they have it


def lying(path: Path, told: AdapterSource) -> ServedTensors:
    """The file at `path`, served for the adapter that is asked for."""
    header = read_header(path)
    return ServedTensors(told.hash, header, (FileOrigin(str(path), header.file_size_bytes, header.mtime_ns),))


def _misfit(matrices: dict[str, np.ndarray]) -> None:
    name = "blk.1.attn_q.weight.lora_a"
    matrices[name] = np.ascontiguousarray(matrices[name].T)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda matrices: matrices.update({"blk.3.attn_q.weight.lora_b": np.ones((128, 4), np.float32)}), "another"),
        (lambda matrices: matrices.pop("output.weight.lora_a"), "only one of lora_a and lora_b"),
        (_misfit, "do not fit the model's"),
        (dict.clear, "holds no matrices"),
    ],
)
def test_what_comes_must_be_what_was_found_fit(
    path: Path, model: OpenModel, told: AdapterSource, tmp_path: Path, change: Callable[..., object], why: str
) -> None:
    matrices = matrices_of(path)
    change(matrices)
    other = write_adapter(tmp_path / "b.gguf", path, matrices)
    with serving(model, lying(other, told)) as peer, pytest.raises(UsageError, match=f"lora: .*{why}"):
        parts(elsewhere(told), model, peer)


def test_a_lender_that_lacks_a_tensor_is_refused(model: OpenModel, told: AdapterSource, adapter: Path) -> None:
    class Lacking(ServedAdapter):
        @property
        def held(self) -> tuple[tuple[int, int], ...]:
            return ((1, len(self._tensors)),)

    found: OpenAdapter = open_adapter(str(adapter), model.model)
    with serving(model, Lacking(found)) as peer, pytest.raises(UsageError, match="sent another; update that node"):
        parts(elsewhere(told), model, peer)
