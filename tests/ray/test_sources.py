"""Whole clusters over models that are split or on the web say what the whole model says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import cluster
from cluster.cutting.header import read_header
from tests.conftest import CliHome, UpCluster
from tests.fakes.range_server import RangeServer
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.reference import WholeModel

CONTEXT = 128
SETTINGS = ("--stages", "2", "-c", str(CONTEXT), "-t", "1")


def check_logits(home: CliHome, path: Path) -> None:
    whole = WholeModel(path, CONTEXT)
    tokens = np.random.default_rng(1).integers(0, whole.vocab_size, 50).tolist()
    with cluster.connect(home.address, home.client_secret) as client:
        got = client.logits(tokens)
    assert got.tobytes() == whole.forward(tokens).tobytes()
    whole.close()


def test_a_model_on_the_web_is_fetched_once(demo_model: Path, up_cluster: UpCluster) -> None:
    with RangeServer({"/demo.gguf": demo_model.read_bytes()}).running() as web:
        arguments = (f"{web.url}/demo.gguf?signature=secret", *SETTINGS)
        with up_cluster(*arguments) as home:
            check_logits(home, demo_model)
            for shown in (("status", "-o", "wide"), ("cache", "ls")):
                done = home.run(*shown)
                assert "demo.gguf" in done.stdout
                assert "secret" not in done.stdout
            header = read_header(demo_model)
            # What both stages want may overlap (a tied embedding), and each request of a header asks for 64 KiB.
            assert web.sent_bytes() < 1.5 * header.file_size_bytes + header.data_start
            home.run("down")
            before = len(web.sent)
            again = home.run("up", *arguments)
            assert again.returncode == 0, again.stderr
            assert web.sent_bytes(before) == 1, "a warm restart moves no weights"
            check_logits(home, demo_model)


def test_a_split_model(tmp_path: Path, up_cluster: UpCluster) -> None:
    model = TinyModel("qwen3", kind="Q8_0")
    whole = write_tiny(tmp_path / "whole.gguf", model)
    first = write_tiny(tmp_path / "split.gguf", model, max_tensors=15)
    with up_cluster(str(first), *SETTINGS) as home:
        check_logits(home, whole)
