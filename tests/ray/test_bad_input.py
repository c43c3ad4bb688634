"""Bad input gets one line that says what and why, the right exit code, and leaves the cluster as it was."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import cluster
from cluster.api.errors import CapacityError, ClusterError, ContextOverflowError, UsageError
from cluster.api.results import Completion, FinishReason
from cluster.client.stream import TokenStream
from cluster.demo import model_path
from tests.conftest import CliHome, UpCluster
from tests.fakes.tiny_models import TinyModel, write_tiny
from worker_native import Vocab

UP_ERRORS = {
    "truncated": (["{truncated}"], "truncated"),
    "wrong magic": (["{not_gguf}"], "magic"),
    "doubled token": (["{doubled_token}"], "token 69 occurs twice"),
    "no tokenizer": (["{no_tokenizer}"], "it has no tokenizer"),
    "missing file": (["/nowhere/model.gguf"], "/nowhere/model.gguf"),
    "no stages": (["--demo", "--stages", "0"], "stages"),
    "more stages than layers": (["--demo", "--stages", "99"], "99"),
    "no such device": (["--demo", "--devices", "CUDA7"], "CUDA7"),
    "bad cache type": (["--demo", "-ctk", "q9_9"], "q9_9"),
    "context beyond training": (["--demo", "-c", "1000000"], "1000000"),
    "port in use": (["--demo", "--port", "{busy_port}"], "{busy_port}"),
    "unknown key": (["--demo", "--config", "{config}"], "ctx_size"),
    "unknown flag": (["--demo", "--stagse", "2"], "--stagse"),
    "no model": ([], "no model"),
    "foreign host": (["--demo", "--host", "0.0.0.0"], "0.0.0.0"),
}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory, demo_model: Path) -> Iterator[dict[str, str]]:
    """What the placeholders of the cases stand for."""
    folder = tmp_path_factory.mktemp("bad")
    truncated, not_gguf, config = folder / "truncated.gguf", folder / "not.gguf", folder / "c.toml"
    tiny = write_tiny(folder / "tiny.gguf", TinyModel()).read_bytes()
    doubled_token, no_tokenizer = folder / "doubled.gguf", folder / "none.gguf"
    doubled_token.write_bytes(tiny.replace(b"<0x41>", b"<0x42>", 1))
    no_tokenizer.write_bytes(tiny.replace(b"tokenizer.ggml.model", b"tokenizer.ggml.mode1"))
    truncated.write_bytes(demo_model.read_bytes()[:200_000])
    not_gguf.write_bytes(b"PK\x03\x04" + bytes(64))
    config.write_text("ctx_sise = 128\n")
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        yield {
            "truncated": str(truncated),
            "not_gguf": str(not_gguf),
            "doubled_token": str(doubled_token),
            "no_tokenizer": str(no_tokenizer),
            "config": str(config),
            "busy_port": port,
        }


@pytest.mark.parametrize("case", UP_ERRORS)
def test_up_refuses_before_anything_starts(case: str, names: dict[str, str], cli_home: CliHome) -> None:
    arguments, named = UP_ERRORS[case]
    done = cli_home.run("up", *(argument.format(**names) for argument in arguments))
    assert done.returncode == 2, done
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.startswith("cluster: ")
    assert named.format(**names) in done.stderr
    assert not done.stdout
    assert not cli_home.state_file.exists()


def test_up_refuses_an_unsupported_architecture_by_name(cli_home: CliHome, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_tiny(path, TinyModel("falcon"))
    done = cli_home.run("up", str(path))
    assert done.returncode == 2
    assert "falcon" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("verb", ["run", "status"])
def test_no_cluster_is_exit_code_4(verb: str, cli_home: CliHome) -> None:
    done = cli_home.run(verb, *(["hello"] if verb == "run" else []))
    assert done.returncode == 4
    assert "cluster up" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_down_without_a_cluster_is_fine(cli_home: CliHome) -> None:
    assert cli_home.run("down").returncode == 0


@pytest.fixture(scope="module")
def home(up_cluster: UpCluster) -> Iterator[CliHome]:
    with up_cluster("--demo", "--stages", "2", "-c", "64", "-np", "2") as home:
        yield home


RUN_ERRORS = {
    "NaN temperature": (["x", "--temp", "nan"], "temperature"),
    "negative top-k": (["x", "--top-k", "-4"], "top_k"),
    "prompt beyond the context": (["word " * 400], "64"),
    "empty stop": (["x", "--stop", ""], "stop"),
}


@pytest.mark.parametrize("case", RUN_ERRORS)
def test_run_refuses_and_the_cluster_goes_on(case: str, home: CliHome) -> None:
    arguments, named = RUN_ERRORS[case]
    done = home.run("run", *arguments, "--no-display-prompt")
    assert done.returncode == 2, done
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert named in done.stderr
    assert home.run("run", "Once", "-n", "2").returncode == 0


def test_token_ids_out_of_range(home: CliHome) -> None:
    with cluster.connect(home.address, home.client_secret) as client:
        vocab_size = client.status().vocab_size
        for tokens in ([vocab_size], [-1], [0, 2**31]):
            with pytest.raises(UsageError):
                client.generate(tokens)
            with pytest.raises(UsageError):
                client.logits(tokens)
        with pytest.raises(UsageError):
            client.logits([])
        assert client.generate([]) == []  # no prompts, no texts
        with pytest.raises(UsageError, match="64"):
            client.logits([1] * 65)
        assert client.generate([1, 2, 3], max_tokens=2).token_ids


def _endless(client: cluster.Client) -> TokenStream:
    return client.stream("Once", max_tokens=None, ignore_eos=True)


def test_a_text_that_cannot_fit_is_its_own_error(home: CliHome) -> None:
    with cluster.connect(home.address, home.client_secret) as client, _endless(client) as stream:
        next(stream)
        for text in ("a" * 2000, "\n" * (4 << 20), "\N{GRINNING FACE}" * (1 << 20)):
            with pytest.raises(UsageError, match="cannot fit into the context"):
                client.tokenize(text)
            answers = client.generate(["Once", text[:100_000], "Once"], max_tokens=1, return_errors=True)
            assert [type(answer) for answer in answers] == [Completion, ContextOverflowError, Completion]
        assert list(stream)[-1].finish_reason == FinishReason.CONTEXT
        assert client.status().state == "ready"


def test_control_tokens_in_prompts(home: CliHome) -> None:
    """Plain text by default; on request the same token ids as libllama gives."""
    vocab = Vocab(str(model_path()))
    # Long enough to be reused.
    text = "Once upon a time there was a little dog, and the dog had a red ball.<|endoftext|> Once"
    plain, parsed = (vocab.tokenize(text, True, parse_special).tolist() for parse_special in (False, True))
    assert len(parsed) < len(plain)
    with cluster.connect(home.address, home.client_secret) as client:
        for wanted, options in ((plain, {}), (parsed, {"parse_special": True})):
            of_ids = client.generate(wanted, max_tokens=4, temperature=0.0)
            of_text = client.generate(text, max_tokens=4, temperature=0.0, **options)
            assert of_text.timings.num_prompt_tokens == len(wanted)
            assert of_text.timings.num_cached_tokens == len(wanted) - 1
            assert of_text.token_ids == of_ids.token_ids
    for flags in ([], ["--parse-special"]):
        done = home.run("run", text, "-n", "1", "-v", *flags)
        assert f"{len(parsed if flags else plain)} prompt tokens" in done.stderr


def test_a_bad_parameter_never_leaves_the_client() -> None:
    with pytest.raises(UsageError, match="temperature"):
        cluster.SamplingParams(temperature=math.nan)


def test_other_settings_are_refused_while_it_is_up(home: CliHome) -> None:
    done = home.run("up", "--demo", "--stages", "3", "-c", "64", "-np", "2")
    assert done.returncode == 2
    assert "stages" in done.stderr
    again = home.run("up", "--demo", "--stages", "2", "-c", "64", "-np", "2")
    assert again.returncode == 0
    assert "already up" in again.stderr


def test_a_full_queue_is_a_capacity_error(up_cluster: UpCluster) -> None:
    arguments = ("--demo", "--stages", "1", "-np", "1", "--max-waiting", "0")
    with up_cluster(*arguments) as home, cluster.connect(home.address, home.client_secret) as client:
        endless = cluster.SamplingParams(max_tokens=None, ignore_eos=True)
        with client.stream("Once", endless) as stream:
            next(iter(stream))
            with pytest.raises(CapacityError):
                client.generate("Once")
        assert isinstance(CapacityError("x"), ClusterError)
        assert client.generate("Once", max_tokens=1).token_ids
