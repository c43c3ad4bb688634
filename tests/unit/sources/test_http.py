"""Ranges over HTTP: exact bytes, dropped connections, and servers that lie, refuse or change their mind."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api.errors import ClusterError, ModelFileError, UnreachableError, UnsupportedModelError, UsageError
from cluster.cutting.cut import cut
from cluster.cutting.header import Header, read_header
from cluster.cutting.rules import check
from cluster.sources import retry
from cluster.sources.http import HttpOrigin, RemoteFile, probe
from cluster.sources.opening import open_model
from cluster.sources.remote_header import fetch_header
from cluster.sources.resolve import resolve
from cluster.sources.retry import Patience
from cluster.sources.stored import stored_slice, stored_vocabulary
from cluster.store.slices import SliceStore
from ggml.gguf.limits import MAX_HEADER_BYTES
from tests.fakes.opened import opened
from tests.fakes.range_server import Answer, RangeServer
from tests.fakes.tiny_models import TinyModel, write_tiny

DATA = random.Random(1).randbytes(300_000)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(retry.time, "sleep", lambda seconds: None)


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer({"/data": DATA}).running() as running:
        yield running


def read(server: RangeServer, begin: int, end: int, **options: object) -> bytes:
    origin = HttpOrigin(f"{server.url}/data?signature=secret", len(DATA), '"v1"', **options)  # type: ignore[arg-type]
    return b"".join(origin.read(begin, end))


def test_a_range_is_read_exactly(server: RangeServer) -> None:
    assert read(server, 1000, 250_000) == DATA[1000:250_000]
    assert [(item.begin, item.end, item.sent_bytes) for item in server.sent] == [(1000, 250_000, 249_000)]
    assert probe(f"{server.url}/data") == RemoteFile(len(DATA), '"v1"')
    assert server.sent[-1].sent_bytes == 1


def test_it_goes_on_where_connections_drop(server: RangeServer) -> None:
    drops = iter([5, 100_000, 0, 0, 0, 1, 50_000])
    server.script = lambda *_: Answer(drop_after=drop) if (drop := next(drops, None)) is not None else None
    assert read(server, 10, 290_000) == DATA[10:290_000]
    assert server.sent_bytes() == 289_990, "no byte is fetched twice"
    assert len(server.sent) == 8


def test_a_server_that_sends_less_than_asked_is_asked_for_the_rest(server: RangeServer) -> None:
    server.script = lambda _, begin, end: (
        Answer(content_range=f"bytes {begin}-{begin + 999}/{len(DATA)}", body=DATA[begin : begin + 1000])
        if end - begin > 1000
        else None
    )
    assert read(server, 0, 5000) == DATA[:5000]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server: RangeServer, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(retry.time, "sleep", pauses.append)
    answers = iter([Answer(status, (("Retry-After", "7"),)), Answer(status), Answer(status, (("Retry-After", "x"),))])
    server.script = lambda *_: next(answers, None)
    assert read(server, 0, 10) == DATA[:10]
    assert pauses[0] == 7.0
    assert 0.5 <= pauses[1] <= 1.0
    assert 1.0 <= pauses[2] <= 2.0


def test_patience_ends(server: RangeServer) -> None:
    server.script = lambda *_: Answer(503)
    with pytest.raises(UnreachableError, match=r"/data: HTTP 503; tried 6 times in a row: .* run this again"):
        read(server, 0, 10)
    assert len(server.sent) == 6
    with pytest.raises(UnreachableError, match="refused"):
        list(HttpOrigin("http://127.0.0.1:1/x", 10).read(0, 10))


def test_pauses_grow_to_a_bound() -> None:
    patience = Patience()
    assert [patience.pause_s(n, None, 1.0) for n in (1, 2, 3, 20)] == [0.5, 1.0, 2.0, 30.0]
    assert patience.pause_s(1, 3600.0, 0.5) == 30.0


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (Answer(401), UsageError, "HTTP 401: access refused; .*HF_TOKEN"),
        (Answer(403), UsageError, "HTTP 403: access refused"),
        (Answer(404), UsageError, "HTTP 404: it is not there"),
        (Answer(416), ModelFileError, r"bytes \[0, 10\) are not in it any more"),
        (Answer(418), UsageError, "HTTP 418"),
        (Answer(200), UsageError, "gives no ranges"),
        (Answer(etag='"v2"'), ModelFileError, "changed while it was read"),
        (Answer(etag=""), ModelFileError, "changed while it was read"),
        (Answer(content_range="bytes 0-9/299999"), ModelFileError, "changed while it was read"),
        (Answer(content_range="bytes 1-10/300000"), ModelFileError, "Content-Range"),
        (Answer(content_range="bytes 0-10/300000", body=b"x" * 11), ModelFileError, "Content-Range"),
        (Answer(content_range="bytes 0-9/*"), ModelFileError, "Content-Range"),
        (Answer(content_range="bytes 0-9/99999999999999999999"), ModelFileError, "Content-Range"),
        (Answer(content_range="bytes 0-9/9999999999999999999"), ModelFileError, "Content-Range"),
        (Answer(body=b"x" * 11), ModelFileError, "more bytes than were asked for"),
        (Answer(endless=True), ModelFileError, "more bytes than were asked for"),
        (Answer(headers=(("Content-Encoding", "gzip"),)), UsageError, "encoded"),
        (Answer(302, (("Location", "/data"),)), UsageError, "redirects without end"),
        (Answer(302, (("Location", "ftp://127.0.0.1/x"),)), UsageError, "leads to an address that cannot be asked"),
    ],
)
def test_what_cannot_be_trusted_is_refused_in_one_line(
    server: RangeServer, answer: Answer, kind: type[ClusterError], said: str
) -> None:
    server.script = lambda *_: answer
    with pytest.raises(kind, match=said) as caught:
        read(server, 0, 10)
    message = str(caught.value)
    assert type(caught.value) is kind
    assert "\n" not in message
    assert "secret" not in message, "a signed URL is a password"


def test_a_redirect_on_the_same_host_keeps_the_token(server: RangeServer) -> None:
    server.script = lambda path, *_: None if path == "/data" else Answer(302, (("Location", "/data"),))
    origin = HttpOrigin(f"{server.url}/here", len(DATA), headers=lambda: {"Authorization": "Bearer t"})
    assert b"".join(origin.read(0, 100)) + b"".join(origin.read(100, 200)) == DATA[:200]
    assert {item.authorization for item in server.sent} == {"Bearer t"}


def test_redirects_are_followed_once_and_keep_tokens_at_home(server: RangeServer) -> None:
    with RangeServer({"/signed": DATA}, etag='"cdn"').running() as cdn:
        server.script = lambda *_: Answer(302, (("Location", f"{cdn.url}/signed?x=1"),))
        origin = HttpOrigin(f"{server.url}/data", len(DATA), headers=lambda: {"Authorization": "Bearer t"})
        assert b"".join(origin.read(0, 100)) == DATA[:100]
        assert b"".join(origin.read(100, 200)) == DATA[100:200]
        assert [item.authorization for item in server.sent] == ["Bearer t"], "the second read goes straight there"
        assert [item.authorization for item in cdn.sent] == ["", ""]
        expired = iter([Answer(403)])
        cdn.script = lambda *_: next(expired, None)
        assert b"".join(origin.read(200, 300)) == DATA[200:300]
        assert len(server.sent) == 2, "an expired signature is renewed"


# --- Headers


def test_a_header_is_fetched_in_growing_ranges(server: RangeServer, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "m.gguf", TinyModel(num_layers=2000, width=32, feed_forward=32))
    data = path.read_bytes()
    server.files["/data"] = data
    header, found = fetch_header(HttpOrigin(f"{server.url}/data", len(data), '"v1"'), len(data))
    local = read_header(path)
    assert (header.tensors, header.metadata, header.data_start) == (local.tensors, local.metadata, local.data_start)
    assert found == data[: local.data_start]
    assert local.data_start > 1_000_000
    assert len(server.sent) < 10
    assert server.sent_bytes() < 2 * local.data_start


@pytest.mark.parametrize("lie", ["endless", "string", "count", "array"])
def test_a_header_without_end_stops_at_the_limit(server: RangeServer, lie: str) -> None:
    count = (1 << 62).to_bytes(8, "little")
    one, start = (1).to_bytes(8, "little"), b"GGUF" + (3).to_bytes(4, "little")
    key = one + b"k"
    strings = key + (9).to_bytes(4, "little") + (8).to_bytes(4, "little")
    begin = {
        "endless": start + bytes(8) + (60000).to_bytes(8, "little"),
        "string": start + bytes(8) + one + key + (8).to_bytes(4, "little") + count,
        "count": start + count + one,
        "array": start + bytes(8) + one + strings + (1 << 22).to_bytes(8, "little") + bytes(1 << 20),
    }[lie]
    size_bytes = 1 << 40

    def answer(_: str, first: int, end: int) -> Answer:
        body = begin[first:end] + (b"\1" + bytes(7) + b"\xff") * ((end - first) // 9)
        body = body[: end - first].ljust(end - first, b"\0")
        return Answer(body=body, content_range=f"bytes {first}-{end - 1}/{size_bytes}")

    server.script = answer
    with pytest.raises(ModelFileError):
        fetch_header(HttpOrigin(f"{server.url}/data", size_bytes, '"v1"'), size_bytes)
    assert server.sent_bytes() <= MAX_HEADER_BYTES


# --- Models


MODEL = TinyModel(width=512, feed_forward=4096, num_heads=8, num_kv_heads=8, kind="Q8_0")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 MB in 4 layers."""
    return write_tiny(tmp_path_factory.mktemp("model") / "model.gguf", MODEL)


@pytest.fixture
def header(model: Path) -> Header:
    return read_header(model)


@pytest.fixture
def web(model: Path) -> Iterator[RangeServer]:
    with RangeServer({"/model.gguf": model.read_bytes()}).running() as running:
        yield running


def fetch(source_url: str, first: int, end: int) -> tuple[Path, list[tuple[str, float]]]:
    source = resolve(source_url)
    reports: list[tuple[str, float]] = []
    model_hash = open_model(source).hash
    stored = stored_slice(source, model_hash, first, end, lambda *report: reports.append(report))
    return stored.path, reports


def test_a_slice_from_a_url_is_the_slice_from_the_file(
    web: RangeServer, model: Path, header: Header, tmp_path: Path
) -> None:
    """Bytes fetched = slice + header, within 1%; a warm restart moves none."""
    expected = SliceStore(tmp_path / "local").get_slice(opened(model), 1, 3)
    path, reports = fetch(f"{web.url}/model.gguf", 1, 3)
    assert path.read_bytes() == expected.path.read_bytes()
    wanted_bytes = cut(check(header), 1, 3).weight_bytes + header.data_start
    assert abs(web.sent_bytes() - wanted_bytes) < 0.01 * wanted_bytes, (web.sent_bytes(), wanted_bytes)
    assert {phase for phase, _ in reports} == {"fetching"}
    assert [fraction for _, fraction in reports] == sorted(fraction for _, fraction in reports)
    num_before = len(web.sent)
    again, reports = fetch(f"{web.url}/model.gguf", 1, 3)
    assert (again, reports) == (path, [])
    assert web.sent_bytes(num_before) == 1, "one byte asks whether the file is still the same"


def test_every_node_fetches_only_its_own(
    web: RangeServer, header: Header, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = 0
    for first, end in ((0, 1), (1, 3), (3, 4)):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"node{first}"))
        fetch(f"{web.url}/model.gguf", first, end)
        total += cut(check(header), first, end).weight_bytes + header.data_start
    assert abs(web.sent_bytes() - total) < 0.01 * total
    assert total < 1.01 * header.file_size_bytes


def test_layers_that_are_here_already_are_not_fetched_again(
    web: RangeServer, model: Path, header: Header, tmp_path: Path
) -> None:
    fetch(f"{web.url}/model.gguf", 0, 2)
    num_before = len(web.sent)
    path, _ = fetch(f"{web.url}/model.gguf", 0, 3)
    one_layer = cut(check(header), 0, 3).weight_bytes - cut(check(header), 0, 2).weight_bytes
    assert one_layer <= web.sent_bytes(num_before) < one_layer + 5000
    expected = SliceStore(tmp_path / "local").get_slice(opened(model), 0, 3)
    assert path.read_bytes() == expected.path.read_bytes()


def test_layers_of_another_version_are_fetched_again(web: RangeServer, header: Header) -> None:
    """The hash is the same: who knows what changed between its samples."""
    fetch(f"{web.url}/model.gguf", 0, 2)
    web.etag = '"v2"'
    num_before = len(web.sent)
    fetch(f"{web.url}/model.gguf", 0, 3)
    assert web.sent_bytes(num_before) > cut(check(header), 0, 3).weight_bytes


def test_a_download_over_a_bad_line_is_whole(web: RangeServer, model: Path, header: Header, tmp_path: Path) -> None:
    rng = random.Random(3)
    web.script = lambda _, begin, end: (
        Answer(drop_after=rng.randrange(end - begin)) if end - begin > 1 and rng.random() < 0.4 else None
    )
    path, _ = fetch(f"{web.url}/model.gguf", 1, 4)
    expected = SliceStore(tmp_path / "local").get_slice(opened(model), 1, 4)
    assert path.read_bytes() == expected.path.read_bytes()
    wanted_bytes = cut(check(header), 1, 4).weight_bytes + header.data_start
    assert abs(web.sent_bytes() - wanted_bytes) < 0.01 * wanted_bytes


def test_a_changed_file_is_another_model(web: RangeServer, tmp_path: Path) -> None:
    source = resolve(f"{web.url}/model.gguf")
    model_hash = open_model(source).hash
    other = write_tiny(tmp_path / "other.gguf", replace(MODEL, seed=1))
    web.files["/model.gguf"], web.etag = other.read_bytes(), '"v2"'
    with pytest.raises(ModelFileError, match="changed while it was read"):
        stored_slice(source, model_hash, 0, 2, lambda *_: None)
    with pytest.raises(ModelFileError, match="is another model"):
        stored_slice(resolve(f"{web.url}/model.gguf"), model_hash, 0, 2, lambda *_: None)


def test_a_change_in_the_middle_leaves_no_slice(web: RangeServer) -> None:
    source = resolve(f"{web.url}/model.gguf")
    model_hash = open_model(source).hash
    num_left = iter(range(3))
    web.script = lambda *_: None if next(num_left, None) is not None else Answer(etag='"v2"')
    with pytest.raises(ModelFileError, match="changed while it was read"):
        stored_slice(source, model_hash, 0, 4, lambda *_: None)
    assert SliceStore().list() == ()


def test_a_server_without_etags_is_never_believed_to_be_the_same(web: RangeServer, tmp_path: Path) -> None:
    web.etag = None
    fetch(f"{web.url}/model.gguf", 0, 2)
    other = write_tiny(tmp_path / "other.gguf", replace(MODEL, seed=1))
    web.files["/model.gguf"] = other.read_bytes()
    path, _ = fetch(f"{web.url}/model.gguf", 0, 2)
    expected = SliceStore(tmp_path / "local").get_slice(opened(other), 0, 2)
    assert path.read_bytes() == expected.path.read_bytes()


def test_the_coordinator_reads_no_weights(web: RangeServer, header: Header) -> None:
    source = resolve(f"{web.url}/model.gguf")
    model_hash = open_model(source).hash
    num_before = len(web.sent)
    stored = stored_vocabulary(source, model_hash)
    assert web.sent[num_before:] == []
    assert read_header(stored.path).metadata == header.metadata


def test_an_unknown_architecture_is_refused_before_any_weight(web: RangeServer, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "nosuch.gguf", TinyModel("nosuch", width=512, feed_forward=2048))
    web.files["/model.gguf"] = path.read_bytes()
    with pytest.raises(UnsupportedModelError, match="nosuch"):
        open_model(resolve(f"{web.url}/model.gguf"))
    assert max(item.end for item in web.sent) <= 1 << 16


def test_all_sources_of_a_model_have_one_hash(web: RangeServer, model: Path, tmp_path: Path) -> None:
    shutil.copy(model, tmp_path / "copy.gguf")
    hashes = {open_model(resolve(name)).hash for name in (str(tmp_path / "copy.gguf"), f"{web.url}/model.gguf")}
    assert hashes == {open_model(resolve(str(model))).hash}


@pytest.mark.parametrize("url", ["http://", "https:///x", "http://host:0/x", "http://host:99999/x", "http://a b/x"])
def test_what_is_no_url_is_told(url: str) -> None:
    with pytest.raises(UsageError, match="is no URL"):
        resolve(url)
