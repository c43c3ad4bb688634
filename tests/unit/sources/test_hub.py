"""The hub, imitated on loopback, and the real huggingface_hub, in processes of their own: it reads settings once."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from cluster.api.errors import UsageError
from cluster.cutting.cut import cut
from cluster.cutting.header import read_header
from cluster.cutting.rules import check
from cluster.sources.hub_choice import choose_files, choose_projector
from cluster.sources.name import HubName, is_remote_name, parse_hub_name, shown_url
from cluster.store.slices import SliceStore
from tests.fakes.opened import opened
from tests.fakes.range_server import Answer, RangeServer
from tests.fakes.tiny_models import TinyModel, write_tiny

REPOSITORY = Path(__file__).parents[3]
COMMIT = "c" * 40
TOKEN = "hf_secret"
FETCH = """
import json, sys
from cluster.api.errors import ClusterError
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.sources.stored import stored_slice
try:
    source = resolve(sys.argv[1])
    stored = stored_slice(source, open_model(source).hash, int(sys.argv[2]), int(sys.argv[3]), lambda *_: None)
    print(json.dumps({"path": str(stored.path), "name": source.display_name}))
except ClusterError as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
"""
DOWNLOAD = "import sys, huggingface_hub; print(huggingface_hub.hf_hub_download(sys.argv[1], sys.argv[2]))"


class Hub:
    """org/model at one commit. It answers as the hub does; the files are on another host."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.gated = False
        self.server = RangeServer({}, etag=None, script=self.answer)
        self.cdn = RangeServer({f"/blob/{self.digest(name)}": data for name, data in files.items()}, etag='"cdn"')

    def digest(self, name: str) -> str:
        return hashlib.sha256(self.files[name]).hexdigest()

    def info(self) -> bytes:
        siblings = [
            {
                "rfilename": name,
                "size": len(data),
                "blobId": "b" * 40,
                "lfs": {"sha256": self.digest(name), "size": len(data), "pointerSize": 130},
            }
            for name, data in self.files.items()
        ]
        return json.dumps({"id": "org/model", "sha": COMMIT, "siblings": siblings}).encode()

    def answer(self, path: str, begin: int, end: int) -> Answer | None:
        path = unquote(path.partition("?")[0])
        if self.gated:
            return Answer(403, (("X-Error-Code", "GatedRepo"),))
        if path in ("/api/models/org/model", "/api/models/org/model/revision/main"):
            return Answer(200, (("Content-Type", "application/json"),), body=self.info())
        if path.startswith("/api/models/org/model/revision/"):
            return Answer(404, (("X-Error-Code", "RevisionNotFound"),))
        head, _, name = path.partition(f"/org/model/resolve/{COMMIT}/")
        head, name = (head, name) if name else ("", path.partition("/org/model/resolve/main/")[2])
        if head or name not in self.files:
            return Answer(404, (("X-Error-Code", "RepoNotFound"),))
        digest, size_bytes = self.digest(name), len(self.files[name])
        return Answer(
            302,
            (
                ("Location", f"{self.cdn.url}/blob/{digest}?signature=s"),
                ("X-Repo-Commit", COMMIT),
                ("X-Linked-Size", str(size_bytes)),
                ("X-Linked-ETag", f'"{digest}"'),
            ),
        )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny-Q8_0.gguf", TinyModel(kind="Q8_0", width=512, feed_forward=2048, num_heads=8))


@pytest.fixture
def hub(path: Path) -> Iterator[Hub]:
    files = {path.name: path.read_bytes(), "tiny-F16.gguf": b"GGUF", "README.md": b"hello"}
    found = Hub(files)
    with found.server.running(), found.cdn.running():
        yield found


def run(script: str, hub: Hub, home: Path, *arguments: str, **settings: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    environment |= {"HF_ENDPOINT": hub.server.url, "HF_HOME": str(home / "hf"), "XDG_CACHE_HOME": str(home / "cache")}
    environment |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", **settings}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def fetch(hub: Hub, home: Path, name: str, first: int = 1, end: int = 3, **settings: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(FETCH, hub, home, name, str(first), str(end), **settings))
    return found


def expected(path: Path, first: int = 1, end: int = 3) -> bytes:
    return SliceStore(path.parent / "expected").get_slice(opened(path), first, end).path.read_bytes()


def test_a_slice_from_the_hub(hub: Hub, path: Path, tmp_path: Path) -> None:
    found = fetch(hub, tmp_path, "hf:org/model:q8_0", HF_TOKEN=TOKEN)
    assert found["name"] == "tiny-Q8_0.gguf"
    assert Path(found["path"]).read_bytes() == expected(path)
    header = read_header(path)
    wanted_bytes = cut(check(header), 1, 3).weight_bytes + header.data_start
    assert wanted_bytes < hub.cdn.sent_bytes() < 1.01 * wanted_bytes + (1 << 16)
    assert {item.authorization for item in hub.server.sent} == {f"Bearer {TOKEN}"}
    assert {item.authorization for item in hub.cdn.sent} == {""}, "the token stays with the hub"
    assert all("blob" in item.path for item in hub.cdn.sent)
    before = len(hub.cdn.sent)
    assert fetch(hub, tmp_path, "hf:org/model:q8_0", HF_TOKEN=TOKEN) == found
    assert hub.cdn.sent[before:] == [], "a warm restart moves nothing"
    offline = fetch(hub, tmp_path, "hf:org/model:q8_0", HF_HUB_OFFLINE="1")
    assert offline == found
    assert "HF_HUB_OFFLINE is set" in fetch(hub, tmp_path, "hf:org/model:q8_0", 0, 2, HF_HUB_OFFLINE="1")["error"]
    assert hub.cdn.sent[before:] == []


def test_the_hubs_own_cache_is_used(hub: Hub, path: Path, tmp_path: Path) -> None:
    assert run(DOWNLOAD, hub, tmp_path, "org/model", path.name).endswith(path.name)
    before, before_hub = len(hub.cdn.sent), len(hub.server.sent)
    found = fetch(hub, tmp_path, "hf:org/model:Q8_0")
    assert Path(found["path"]).read_bytes() == expected(path)
    assert hub.cdn.sent[before:] == []
    offline = fetch(hub, tmp_path / "other", "hf:org/model:Q8_0", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf"))
    assert Path(offline["path"]).read_bytes() == expected(path)
    assert len(hub.server.sent) == before_hub + 1, "offline asks for nothing"
    whole = fetch(hub, tmp_path, "hf:org/model:Q8_0", 0, 4)
    assert "/hf/hub/" in whole["path"], "all layers of a file that is here: no copy"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf:org/other:Q8_0", "UsageError: hf:org/other: no such model, or it is private"),
        ("hf:org/model@v9:Q8_0", "UsageError: hf:org/model: no such revision"),
        ("hf:org/model:Q2_K", "UsageError: hf:org/model: Q2_K: no file fits; name one of: 'tiny-F16.gguf', 'tiny-Q8_0"),
        ("hf:org/model:F16", "ModelFileError: http"),
        ("hf:org", "UsageError: model: 'hf:org' is no name on the hub; give hf:org/repo:Q4_K_M"),
    ],
)
def test_what_is_not_on_the_hub_is_one_line(hub: Hub, tmp_path: Path, name: str, said: str) -> None:
    assert fetch(hub, tmp_path, name)["error"].startswith(said)


def test_a_gated_model_says_what_to_do(hub: Hub, tmp_path: Path) -> None:
    hub.gated = True
    assert "accept the model's terms on the hub and set HF_TOKEN" in fetch(hub, tmp_path, "hf:org/model")["error"]


def test_a_hub_that_is_not_there(hub: Hub, tmp_path: Path) -> None:
    found = fetch(hub, tmp_path, "hf:org/model", HF_ENDPOINT="http://127.0.0.1:1")["error"]
    assert found.startswith("UnreachableError: hf:org/model: http://127.0.0.1:1 cannot be reached")
    hub.server.script = lambda *_: Answer(200, body=b"[1]")
    assert "does not answer like the hub; check HF_ENDPOINT" in fetch(hub, tmp_path, "hf:org/model")["error"]
    hub.server.script = lambda *_: Answer(200, body=b"<html>")
    assert "UnreachableError: hf:org/model" in fetch(hub, tmp_path, "hf:org/model")["error"]


def test_a_split_model_on_the_hub(path: Path, tmp_path: Path) -> None:
    first = write_tiny(
        tmp_path / "split-Q8_0.gguf", TinyModel(kind="Q8_0", width=512, feed_forward=2048, num_heads=8), max_tensors=12
    )
    found = Hub({f"q8/{part.name}": part.read_bytes() for part in first.parent.glob("split-Q8_0-0*.gguf")})
    with found.server.running(), found.cdn.running():
        slice_path = fetch(found, tmp_path, "hf:org/model:Q8_0")["path"]
        assert Path(slice_path).read_bytes() == expected(path), "the same model, the same slice"


@pytest.mark.parametrize(
    "wrong",
    [
        {"sha": "main"},
        {"sha": None},
        {"siblings": [{"rfilename": "m-Q8_0.gguf"}]},
        {"siblings": [{"rfilename": "m-Q8_0.gguf", "size": "x", "blobId": "b" * 40}]},
        {"siblings": [{"rfilename": "m-Q8_0.gguf", "size": 1 << 60, "blobId": "b" * 40}]},
        {"siblings": [{"rfilename": "m-Q8_0.gguf", "size": 9, "blobId": "../../x"}]},
        {"siblings": [{"rfilename": "m-Q8_0.gguf", "size": 9, "lfs": {"sha256": 5}}]},
        {"siblings": [{"rfilename": 5}]},
        {"siblings": 5},
    ],
    ids=str,
)
def test_a_hub_that_makes_no_sense(hub: Hub, tmp_path: Path, wrong: dict[str, Any]) -> None:
    body = json.dumps({**json.loads(hub.info()), **wrong}).encode()
    hub.server.script = lambda *_: Answer(200, body=body)
    assert "does not answer like the hub; check HF_ENDPOINT" in fetch(hub, tmp_path, "hf:org/model")["error"]


# --- Names


def test_names() -> None:
    assert parse_hub_name("hf:org/repo:Q4_K_M") == HubName("org/repo", None, "Q4_K_M")
    assert parse_hub_name("hf:org/repo@v1.0:sub/x.gguf") == HubName("org/repo", "v1.0", "sub/x.gguf")
    assert parse_hub_name("hf:o/r") == HubName("o/r", None, None)
    for wrong in (
        "hf:",
        "hf:repo",
        "hf:a/b/c",
        "hf:../x",
        "hf:a/..",
        "hf:a/b:",
        "hf:a/b@:x",
        "hf:a/b\n",
        "hf:a/b:../x",
    ):
        with pytest.raises(UsageError, match="is no name on the hub"):
            parse_hub_name(wrong)
    assert [is_remote_name(name) for name in ("hf:a/b", "http://x", "https://x", "/x", "hf", "x:y")] == [True] * 3 + [
        False
    ] * 3
    assert shown_url("https://user:pass@host/a/b.gguf?token=1#2") == "https://host/a/b.gguf"


FILES = (
    "a-Q4_K_M.gguf",
    "a-IQ4_K_M.gguf",
    "a-Q4_K_M-00001-of-00002.gguf",
    "big/b-Q8_0-00001-of-00002.gguf",
    "big/b-Q8_0-00002-of-00002.gguf",
    "a.Q5_K.gguf",
    "mmproj-F16.gguf",
    "imatrix.gguf",
    "x-UD-Q3_K_XL.gguf",
    "lost-Q6_K-00001-of-00002.gguf",
)


@pytest.mark.parametrize(
    ("choice", "files"),
    [
        ("a-Q4_K_M.gguf", ["a-Q4_K_M.gguf"]),
        ("q8_0", ["big/b-Q8_0-00001-of-00002.gguf", "big/b-Q8_0-00002-of-00002.gguf"]),
        ("Q5_K", ["a.Q5_K.gguf"]),
        ("UD-Q3_K_XL", ["x-UD-Q3_K_XL.gguf"]),
        ("Q3_K_XL", ["x-UD-Q3_K_XL.gguf"]),
        ("IQ4_K_M", ["a-IQ4_K_M.gguf"]),
    ],
)
def test_a_choice_is_a_file(choice: str, files: list[str]) -> None:
    assert list(choose_files(FILES, choice, "o/r")) == files


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("Q4_K_M", "2 files fit; name one of: 'a-Q4_K_M-00001-of-00002.gguf', 'a-Q4_K_M.gguf'"),
        (None, "2 files fit"),
        ("F16", "no file fits"),
        ("Q4", "no file fits"),
        ("nothing.gguf", "no file fits"),
        ("Q6_K", "lost-Q6_K-00002-of-00002.gguf: this part is not in the repository"),
    ],
)
def test_a_choice_that_is_no_single_file(choice: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        choose_files(FILES, choice, "o/r")


def test_without_a_choice_it_is_the_usual_one() -> None:
    assert choose_files(["m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-F16.gguf"], None, "o/r") == ("m-Q4_K_M.gguf",)
    assert choose_files(["m-Q8_0.gguf", "m-F16.gguf"], None, "o/r") == ("m-Q8_0.gguf",)
    assert choose_files(["model.gguf", "mmproj-Q8_0.gguf"], None, "o/r") == ("model.gguf",)
    with pytest.raises(UsageError, match="there is no GGUF"):
        choose_files(["README.md", "../m.gguf", "a/../m.gguf", "/m.gguf", "m\n.gguf"], None, "o/r")


@pytest.mark.parametrize(
    ("names", "choice", "found"),
    [
        (["Q4_K_M/model.gguf", "Q8_0/model.gguf"], "Q8_0", "Q8_0/model.gguf"),
        (["Q4_K_M/model.gguf", "Q8_0/model.gguf"], None, "Q4_K_M/model.gguf"),
        (["m-Q8_0/m-00001-of-00002.gguf", "m-Q8_0/m-00002-of-00002.gguf"], "q8_0", "m-Q8_0/m-00001-of-00002.gguf"),
        (["Q8_0/m-Q4_K_M.gguf", "Q4_K_M/m.gguf"], "Q4_K_M", "Q8_0/m-Q4_K_M.gguf"),
        (["Big-27B-MTP-Q6_K.gguf", "Big-27B-MTP-Q4_K_M.gguf"], "Q6_K", "Big-27B-MTP-Q6_K.gguf"),
        (["Big-27B-MTP-Q6_K.gguf", "Big-27B-MTP-Q4_K_M.gguf"], None, "Big-27B-MTP-Q4_K_M.gguf"),
        (["Big-MTP-Q6_K.gguf", "Big-Q6_K.gguf"], "Q6_K", "Big-Q6_K.gguf"),
        (["Big-MTP-Q6_K.gguf", "Big-Q6_K.gguf"], "Big-MTP-Q6_K.gguf", "Big-MTP-Q6_K.gguf"),
        (["Small-large-vocab-Q8_0.gguf"], None, "Small-large-vocab-Q8_0.gguf"),
        (["m-imatrix-Q4_K_M.gguf", "m.imatrix.gguf", "imatrix.gguf"], None, "m-imatrix-Q4_K_M.gguf"),
        (["m-Q8_0.gguf", "m-mmproj-Q8_0.gguf", "mmproj-m-Q8_0.gguf"], "Q8_0", "m-Q8_0.gguf"),
        (["m-Q8_0.gguf", "mtp-m-Q8_0.gguf", "ggml-vocab-m-Q8_0.gguf"], "Q8_0", "m-Q8_0.gguf"),
        (["m-Q8_0.gguf", "mmproj-Q8_0.gguf"], "mmproj-Q8_0.gguf", "mmproj-Q8_0.gguf"),
        (["m-Q8_0.gguf", "m-Q4_K_M.gguf"], "latest", "m-Q4_K_M.gguf"),
    ],
)
def test_layouts_that_people_publish(names: list[str], choice: str | None, found: str) -> None:
    assert choose_files(names, choice, "o/r")[0] == found


PROJECTOR = """
import sys
from cluster.api.errors import ClusterError
from cluster.sources.companion import local_projector
try:
    print(local_projector(sys.argv[1], sys.argv[2]))
except ClusterError as error:
    print(f"{type(error).__name__}: {error}")
"""


def test_the_mmproj_file_beside_a_model_is_brought_here(hub: Hub, tmp_path: Path) -> None:
    hub.files["mmproj-tiny-F16.gguf"] = b"GGUF of pictures"
    hub.files["mmproj-tiny-F32.gguf"] = b"GGUF of pictures in F32"
    for name in ("mmproj-tiny-F16.gguf", "mmproj-tiny-F32.gguf"):
        hub.cdn.files[f"/blob/{hub.digest(name)}"] = hub.files[name]
    found = run(PROJECTOR, hub, tmp_path, "auto", "hf:org/model:q8_0")
    assert Path(found).read_bytes() == b"GGUF of pictures"
    named = run(PROJECTOR, hub, tmp_path, "hf:org/model:mmproj-tiny-F32.gguf", "model.gguf")
    assert Path(named).read_bytes() == b"GGUF of pictures in F32"
    assert run(PROJECTOR, hub, tmp_path, "auto", "hf:org/model:q8_0", HF_HUB_OFFLINE="1") == found
    assert run(PROJECTOR, hub, tmp_path, "/a/file.gguf", "hf:org/model") == "/a/file.gguf"
    assert "is in no repository of the hub" in run(PROJECTOR, hub, tmp_path, "auto", "model.gguf")


def test_which_mmproj_file_is_meant() -> None:
    names = ["m-Q4_K_M.gguf", "mmproj-m-bf16.gguf", "mmproj-m-f16.gguf", "sub/m-mmproj-Q8_0.gguf", "mmproj.txt"]
    assert choose_projector(names, None, "o/m") == "mmproj-m-f16.gguf"
    assert choose_projector(names, "bf16", "o/m") == "mmproj-m-bf16.gguf"
    assert choose_projector(names, "sub/m-mmproj-Q8_0.gguf", "o/m") == "sub/m-mmproj-Q8_0.gguf"
    assert choose_projector(["mmproj-model.gguf", "m.gguf"], None, "o/m") == "mmproj-model.gguf"
    with pytest.raises(UsageError, match="an mmproj file: no file fits"):
        choose_projector(["m-Q4_K_M.gguf"], None, "o/m")
    with pytest.raises(UsageError, match="2 files fit"):
        choose_projector(["mmproj-a-f16.gguf", "mmproj-b-f16.gguf"], None, "o/m")
