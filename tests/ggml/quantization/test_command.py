"""``python -m ggml``: the files are those of llama.cpp's own quantiser, and what cannot be done is said in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import gguf
import numpy as np
import pytest

import ggml
import worker_native
from ggml import quantization
from ggml.__main__ import main
from ggml.io.gguf_file import GgufFile, open_gguf
from ggml.quantization import FileReport, ImportanceMatrix, quantize_file
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.ggml import native_ggml
from tests.quick import some_quick

LLAMA = TinyModel(width=256, feed_forward=512, num_layers=4)
MODELS = {
    "qwen": TinyModel("qwen2", width=256, feed_forward=512, num_layers=3),
    "gemma": TinyModel("gemma3", width=256, feed_forward=512, num_layers=3, tied=True, window=32, period=3),
    "experts": TinyModel(width=256, feed_forward=256, num_layers=2, num_experts=8),
    "odd": TinyModel(width=288, feed_forward=320, num_layers=2, tied=True),
}
FILE_TYPES = ("Q4_0", "Q5_K_M", "Q4_K_M", "Q4_K_S", "Q6_K", "Q8_0", "Q3_K_M", "Q2_K", "IQ4_NL", "IQ4_XS", "F16", "BF16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def llama(folder: Path) -> Path:
    return write_tiny(folder / "llama.gguf", LLAMA)


@cache
def _number(file_type: str) -> int:
    return dict(worker_native.model_file_types())[file_type]


def _types(file: GgufFile) -> dict[str, str]:
    return {tensor.name: tensor.type for tensor in file.tensors}


def _run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


# The files


@pytest.mark.parametrize("file_type", some_quick(FILE_TYPES, ("Q4_K_M", "Q8_0", "IQ4_XS", "F16")))
def test_llama_is_as_llama_cpp_makes_it(llama: Path, tmp_path: Path, file_type: str) -> None:
    assert _run("quantize", llama, tmp_path / "made.gguf", file_type, "--quiet", "--threads", 2) == 0
    native_ggml.quantize_model(llama, tmp_path / "wanted.gguf", _number(file_type))
    assert (tmp_path / "made.gguf").read_bytes() == (tmp_path / "wanted.gguf").read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_other_models_are_as_llama_cpp_makes_them(folder: Path, tmp_path: Path, name: str) -> None:
    source = write_tiny(folder / f"{name}.gguf", MODELS[name])
    quantize_file(source, tmp_path / "made.gguf", "Q4_K_M")
    native_ggml.quantize_model(source, tmp_path / "wanted.gguf", _number("Q4_K_M"))
    assert (tmp_path / "made.gguf").read_bytes() == (tmp_path / "wanted.gguf").read_bytes()


def test_each_tensor_is_what_quantize_makes_of_it(llama: Path, tmp_path: Path) -> None:
    report = quantize_file(llama, tmp_path / "made.gguf", "Q4_K_M")
    source, made = open_gguf(llama), open_gguf(tmp_path / "made.gguf")
    assert {"f32", "q4_k", "q6_k"} == set(_types(made).values())
    assert [change.name for change in report.tensors] == [tensor.name for tensor in made.tensors]
    for change, tensor in zip(report.tensors, made.tensors, strict=True):
        assert (change.after, change.bytes_after) == (tensor.type, tensor.num_bytes)
        original, wanted = source.load(tensor.name), made.load(tensor.name)
        result = original if change.before == change.after else quantization.quantize(original, tensor.dtype)
        assert result.raw_bytes() == wanted.raw_bytes()


def test_metadata_is_kept(llama: Path, tmp_path: Path) -> None:
    quantize_file(llama, tmp_path / "made.gguf", "Q5_K_M")
    before, after = open_gguf(llama), open_gguf(tmp_path / "made.gguf")
    added = {"general.file_type": _number("Q5_K_M"), "general.quantization_version": 2}
    assert after.metadata == before.metadata | added
    assert {key: after.types[key] for key in before.types} == before.types


def test_libllama_computes_with_it(llama: Path, tmp_path: Path) -> None:
    quantize_file(llama, tmp_path / "made.gguf", "Q8_0")

    def logits(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        model = worker_native.Slice(str(path), n_ctx=64, n_slots=1)
        tokens = np.arange(5, 13, dtype=np.int32)
        wants = np.ones(8, bool)
        model.forward(tokens, np.arange(8, dtype=np.int32), np.zeros(8, np.int32), wants)
        return np.array(model.logits(list(range(8))))

    exact, found = logits(llama), logits(tmp_path / "made.gguf")
    assert 0 < np.abs(found - exact).max() < 0.1 * np.abs(exact).max()


def test_a_split_model(folder: Path, llama: Path, tmp_path: Path) -> None:
    first = write_tiny(folder / "split.gguf", LLAMA, max_tensors=10)
    quantize_file(first, tmp_path / "made.gguf", "Q4_0")
    native_ggml.quantize_model(llama, tmp_path / "wanted.gguf", _number("Q4_0"))
    made, wanted = open_gguf(tmp_path / "made.gguf"), open_gguf(tmp_path / "wanted.gguf")
    assert _types(made) == _types(wanted)
    assert all(made.load(name).raw_bytes() == wanted.load(name).raw_bytes() for name in _types(made))
    second = first.with_name(first.name.replace("-00001-", "-00002-"))
    with pytest.raises(ggml.FileFormatError, match="name the first part"):
        quantize_file(second, tmp_path / "x.gguf", "Q4_0")
    with pytest.raises(ggml.ArgumentError, match="is the source"):
        quantize_file(first, second, "Q4_0")
    content = second.read_bytes()
    second.unlink()
    try:
        with pytest.raises(FileNotFoundError):
            quantize_file(first, tmp_path / "x.gguf", "Q4_0")
    finally:
        second.write_bytes(content)


def test_another_alignment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Aligned(gguf.GGUFWriter):
        def write_header_to_file(self, path: Path | None = None) -> None:
            self.add_custom_alignment(128)
            super().write_header_to_file(path)

    monkeypatch.setattr(gguf, "GGUFWriter", Aligned)
    source = write_tiny(tmp_path / "in.gguf", TinyModel(width=256, feed_forward=512, num_layers=1))
    assert open_gguf(source).alignment == 128
    quantize_file(source, tmp_path / "made.gguf", "Q8_0")
    made = open_gguf(tmp_path / "made.gguf")
    name = "blk.0.ffn_up.weight"
    wanted = quantization.quantize(open_gguf(source).load(name), ggml.q8_0)
    assert made.load(name).raw_bytes() == wanted.raw_bytes()


def test_a_file_that_is_larger_than_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor_info("large", (1 << 18, 1 << 18), np.dtype(np.float32), 1 << 38)
    writer.add_tensor_info("small", (4,), np.dtype(np.float32), 16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    os.truncate(path, (1 << 38) + 1024)  # it takes no room on the disk
    small = open_gguf(path).load("small")
    small.numpy()[0] = 1  # a private copy: not a crash, and not in the file
    assert small.tolist() == [1, 0, 0, 0] and open_gguf(path).load("small").tolist() == [0] * 4


# Options


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--pure"], {"output.weight": "q4_k", "blk.2.ffn_down.weight": "q4_k"}),
        (["--output-tensor-type", "q8_0"], {"output.weight": "q8_0", "token_embd.weight": "q4_k"}),
        (["--token-embedding-type", "BF16"], {"token_embd.weight": "bf16", "output.weight": "q6_k"}),
        (["--leave-output-tensor"], {"output.weight": "f32"}),
        (
            ["--tensor-type", r"blk\.1\..*=q5_0", "--tensor-type", "attn_q=Q8_0"],
            {"blk.1.attn_q.weight": "q5_0", "blk.2.attn_q.weight": "q8_0", "blk.0.ffn_up.weight": "q4_k"},
        ),
    ],
)
def test_options(llama: Path, tmp_path: Path, options: list[str], wanted: dict[str, str]) -> None:
    assert _run("quantize", llama, tmp_path / "made.gguf", "q4_k_m", *options) == 0
    types = _types(open_gguf(tmp_path / "made.gguf"))
    assert {name: types[name] for name in wanted} == wanted


def _imatrix(llama: Path, path: Path) -> ImportanceMatrix:
    matrix = ImportanceMatrix(("samples.txt",), 2, 512)
    for tensor in open_gguf(llama).tensors:
        if len(tensor.shape) == 2:
            rng = np.random.default_rng(len(tensor.name))
            matrix.add(tensor.name, np.square(rng.standard_normal(tensor.shape[-1])) + 0.01, 1)
    matrix.save(path)
    return matrix


def test_an_importance_matrix(llama: Path, tmp_path: Path) -> None:
    matrix = _imatrix(llama, tmp_path / "m.gguf")
    assert _run("quantize", llama, tmp_path / "made.gguf", "IQ3_S", "--imatrix", tmp_path / "m.gguf") == 0
    source, made = open_gguf(llama), open_gguf(tmp_path / "made.gguf")
    for name in ("blk.0.ffn_up.weight", "blk.3.attn_q.weight"):
        wanted = quantization.quantize(source.load(name), made.find(name).dtype, matrix[name])
        assert made.load(name).raw_bytes() == wanted.raw_bytes()
    assert made.metadata["quantize.imatrix.file"] == "m.gguf"
    assert made.metadata["quantize.imatrix.dataset"] == "samples.txt"
    assert made.metadata["quantize.imatrix.entries_count"] == len(matrix)
    assert made.metadata["quantize.imatrix.chunks_count"] == 2


def test_a_dry_run_writes_nothing(llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dry = quantize_file(llama, tmp_path / "made.gguf", "Q3_K_M", dry_run=True)
    assert not list(tmp_path.iterdir())
    real = quantize_file(llama, tmp_path / "made.gguf", "Q3_K_M")
    assert dry.tensors == real.tensors and dry.bytes_after == real.bytes_after < real.bytes_before / 5
    assert str(real).splitlines()[-1].startswith("total")


@pytest.mark.parametrize("file_type", some_quick(["Q4_K_M", "Q2_K", "F16"], ("Q4_K_M",)))
@pytest.mark.parametrize("name", ["llama", *MODELS])
def test_the_report_is_what_the_file_says(
    folder: Path, tmp_path: Path, name: str, file_type: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_tiny(folder / f"report-{name}.gguf", {"llama": LLAMA, **MODELS}[name])
    heard = []
    report = quantize_file(source, tmp_path / "made.gguf", file_type, progress=heard.append)
    made = open_gguf(tmp_path / "made.gguf")
    said = [(one.name, one.after, one.shape, one.bytes_after) for one in report.tensors]
    assert said == [(one.name, one.type, one.shape, one.num_bytes) for one in made.tensors]
    assert heard == report.tensors == quantize_file(source, tmp_path / "x", file_type, dry_run=True).tensors
    _run("quantize", source, tmp_path / "again.gguf", file_type, "--quiet")
    bits = 8 * sum(one.num_bytes for one in made.tensors) / sum(int(np.prod(one.shape)) for one in made.tensors)
    assert f"{bits:.2f} bits a weight" in capsys.readouterr().out


def test_whatever_is_logged_in_between(llama: Path) -> None:
    parts = (open_gguf(llama),)
    report = FileReport(llama, llama, "Q4_K_M", parts)
    lines = [
        "[   1/  38] blk.0.attn_k.weight - [   256,    128,     1,     1], type =    f32, ",
        "a line of somebody else's: 3 of 4 done",
        "converting to q4_K .. ",
        "another one with size unknown",
        "size =     0.13 MiB ->     0.02 MiB",
        "noise in front [   2/  38] blk.0.attn_norm.weight - [   256, 1, 1, 1], type =    f32, size = 0.001 MiB",
    ]
    found = [change for change in map(report.hear, lines) if change]
    assert [(one.index, one.name, one.after) for one in found] == [
        (1, "blk.0.attn_k.weight", "q4_k"),
        (2, "blk.0.attn_norm.weight", "f32"),
    ]
    with pytest.raises(ggml.GgmlError, match="did not say what becomes of"):
        report.checked()
    report.read_back(parts[0])
    assert [one.after for one in report.tensors] == [one.type for one in parts[0].tensors]


def test_what_is_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_tiny(folder / "said.gguf", MODELS["odd"])
    assert _run("quantize", source, tmp_path / "made.gguf", "Q4_K_M") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "[3/20] blk.0.attn_k.weight  f32 -> q5_0  0.16 -> 0.03 MiB (rows of 288 do not fit q4_k)"
    assert lines[-1].startswith(f"{tmp_path / 'made.gguf'} is Q4_K_M: ") and len(lines) == 21


# What cannot be done


def _error(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert _run(*arguments) == 1
    caught = capsys.readouterr()
    assert caught.out == "" and caught.err.count("\n") == 1 and caught.err.startswith("error: ")
    return caught.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("none.gguf", "o.gguf", "Q4_0"), "none.gguf: No such file or directory"),
        ((".", "o.gguf", "Q4_0"), ".: file: not a regular file"),
        (("text.txt", "o.gguf", "Q4_0"), "text.txt: file: 15 bytes are too few for a GGUF header"),
        (("in.gguf", "o.gguf", "Q4_K_N"), "'Q4_K_N' is not known; did you mean Q4_K_"),
        (("in.gguf", "o.gguf", "zzz"), "there are F32, F16"),
        (("in.gguf", "in.gguf", "Q4_0"), "in.gguf is the source"),
        (("in.gguf", "./link.gguf", "Q4_0"), "link.gguf is the source"),
        (("in.gguf", "none/o.gguf", "Q4_0"), "lies in a folder that does not exist"),
        (("in.gguf", ".", "Q4_0"), ". is a folder"),
        (("in.gguf", "o.gguf", "IQ1_S"), "imatrix is needed for IQ1_S"),
        (("in.gguf", "o.gguf", "Q2_K_S"), "imatrix is needed for Q2_K_S"),
        (("in.gguf", "o.gguf", "Q4_0", "--imatrix", "text.txt"), "text.txt: imatrix: is no importance matrix"),
        (("in.gguf", "o.gguf", "Q4_0", "--imatrix", "none"), "none: No such file or directory"),
        (("in.gguf", "o.gguf", "Q4_0", "--tensor-type", "ffn"), "'ffn' is not PATTERN=T"),
        (("in.gguf", "o.gguf", "Q4_0", "--tensor-type", "ffn=q9_0"), "'q9_0' is not known; did you mean"),
        (("in.gguf", "o.gguf", "Q4_0", "--tensor-type", "a(=q8_0"), "'a(' is no regular expression"),
        (
            ("in.gguf", "o.gguf", "Q4_0", "--tensor-type", "atn_v=q8_0"),
            "'atn_v' matches no tensor; there is blk.0.attn_v",
        ),
        (("in.gguf", "o.gguf", "Q4_0", "--tensor-type", "ATTN_V=q8_0", "--dry-run"), "'ATTN_V' matches no tensor"),
        (("in.gguf", "o.gguf", "Q4_0", "--tensor-type", "ffn_up$=q8_0"), "matches no tensor; there is blk.0.ffn_up"),
        (
            ("in.gguf", "o.gguf", "Q4_0", "--tensor-type", "attn_norm=q8_0"),
            "'attn_norm' changes nothing: libllama keeps",
        ),
        (("in.gguf", "o.gguf", "F16", "--tensor-type", "attn_v=q8_0"), "keeps blk.0.attn_v.weight as f16"),
        (
            ("in.gguf", "o.gguf", "Q4_0", "--tensor-type", "attn=q8_0", "--tensor-type", "attn_v=q5_0"),
            "'attn_v' every tensor that it matches is taken by a pattern before it",
        ),
        (("tied.gguf", "o.gguf", "Q4_0", "--output-tensor-type", "q8_0"), "its head is token_embd.weight"),
        (
            ("in.gguf", "o.gguf", "Q4_0", "--imatrix", "other.gguf"),
            "imatrix has nothing for any tensor; it has 'blk.77.",
        ),
        (("in.gguf", "o.gguf", "Q4_0", "--threads", "0"), "num_threads 0 is no number from 1 to 512"),
        (("quantized.gguf", "o.gguf", "Q4_0"), "is quantised already (token_embd.weight is q8_0)"),
        (("odd.gguf", "o.gguf", "Q4_0", "--output-tensor-type", "q4_k", "--token-embedding-type", "q4_k"), "rows of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_one_clear_error(
    llama: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: Sequence[str],
    why: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.gguf").symlink_to(llama)
    Path("link.gguf").hardlink_to(llama)
    Path("text.txt").write_text("no model at all")
    if "quantized.gguf" in arguments:
        write_tiny(Path("quantized.gguf"), TinyModel(num_layers=1, kind="Q8_0"))
    if "odd.gguf" in arguments:
        write_tiny(Path("odd.gguf"), TinyModel(num_layers=1, width=288, feed_forward=320))
    if "tied.gguf" in arguments:
        write_tiny(Path("tied.gguf"), TinyModel(num_layers=1, tied=True))
    if "other.gguf" in arguments:
        matrix = ImportanceMatrix()
        matrix.add("blk.77.ffn_up.weight", np.ones(256), 1)
        matrix.save("other.gguf")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert why in _error(capsys, "quantize", *arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_requantising_is_allowed_when_asked_for(tmp_path: Path) -> None:
    source = write_tiny(tmp_path / "in.gguf", TinyModel(width=256, feed_forward=256, num_layers=1, kind="Q8_0"))
    assert _run("quantize", source, tmp_path / "o.gguf", "Q4_0", "--allow-requantize", "--quiet") == 0
    assert _types(open_gguf(tmp_path / "o.gguf"))["blk.0.ffn_up.weight"] == "q4_0"


def _with(content: bytes, key: bytes, value: int) -> bytes:
    """The file with another uint32 under a key."""
    place = content.index(key) + len(key) + 4
    return content[:place] + value.to_bytes(4, "little") + content[place + 4 :]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda raw, _: raw[:-100], "truncated?"),
        (lambda raw, _: raw[:3000], "a string of the array runs past the end of the file"),
        (lambda raw, _: _with(raw, b"llama.block_count", 1 << 30), "cannot be quantised: libllama ended: GGML_ASSERT"),
        (
            lambda raw, _: raw.replace(b"\0llama", b"\0nomod", 1),
            "unknown model architecture: 'nomod'; quantise its tensors",
        ),
        (lambda raw, _: raw.replace(b"general.architecture", b"general.architectury"), "unknown model architecture"),
        (lambda raw, at: raw[:at] + b"\0\0\xc0\x7f" + raw[at + 4 :], "blk.1.ffn_up.weight: "),
        (lambda raw, at: raw[:at] + np.float32(1e30).tobytes() + raw[at + 4 :], "beyond the range of the type"),
    ],
)
def test_hostile_models(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: object, why: str
) -> None:
    assert callable(damage)
    place = open_gguf(llama).find("blk.1.ffn_up.weight").offset
    (tmp_path / "in.gguf").write_bytes(damage(llama.read_bytes(), place))
    (tmp_path / "o.gguf").write_text("what was there")
    error = _error(capsys, "quantize", "--quiet", tmp_path / "in.gguf", tmp_path / "o.gguf", "Q4_0")
    assert why in error and str(tmp_path / "in.gguf") in error
    assert (tmp_path / "o.gguf").read_text() == "what was there" and len(list(tmp_path.iterdir())) == 2


def test_a_disk_that_takes_no_more(llama: Path, tmp_path: Path) -> None:
    command = f"ulimit -f 300; exec {sys.executable} -m ggml quantize --quiet {llama} {tmp_path}/o.gguf Q8_0"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "o.gguf: cannot be written to the end" in done.stderr
    assert done.stderr.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_progress_may_end_it(llama: Path, tmp_path: Path, error: type[BaseException]) -> None:
    def stop(change: quantization.TensorChange) -> None:
        raise error

    with pytest.raises(error):
        quantize_file(llama, tmp_path / "o.gguf", "Q4_K_M", progress=stop)
    assert not list(tmp_path.iterdir())


def _started(source: Path, target: Path) -> subprocess.Popen[str]:
    """The command in a process group of its own, which has done its first tensor."""
    command = [sys.executable, "-m", "ggml", "quantize", str(source), str(target), "IQ3_S", "--threads", "1"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0)
    assert started.stdout is not None and started.stdout.readline().startswith("[1/")
    return started


def _gone(folder: Path) -> bool:
    """Whether within a while the folder is empty."""
    for _ in range(200):
        if not list(folder.iterdir()):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("everyone", [True, False])
def test_ctrl_c(llama: Path, tmp_path: Path, everyone: bool) -> None:
    with _started(llama, tmp_path / "o.gguf") as started:
        (os.killpg if everyone else os.kill)(started.pid, signal.SIGINT)
        _, error = started.communicate()
    assert started.returncode == 130 and error == "interrupted\n"
    assert not list(tmp_path.iterdir())


def test_a_command_that_is_killed_leaves_nothing(llama: Path, tmp_path: Path) -> None:
    with _started(llama, tmp_path / "o.gguf") as started:
        started.kill()
        started.communicate()
    assert _gone(tmp_path)


@pytest.mark.parametrize("name", ["sp ace 'quote' \u00fc\u4e16.gguf", "-dash.gguf", "%d%s.gguf"])
def test_names_of_all_kinds(llama: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / f"in {name}").symlink_to(llama)
    quantize_file(tmp_path / f"in {name}", tmp_path / name, "Q4_0")
    assert _types(open_gguf(os.fsencode(tmp_path / name)))["output.weight"] == "q6_k"


@pytest.mark.parametrize("name", ["a\0b", "a\udcff"], ids=ascii)
def test_names_that_are_none(llama: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ggml.FileFormatError, match="is not UTF-8"):
        quantize_file(llama, f"{tmp_path}/{name}", "Q4_0")
    with pytest.raises(ggml.FileFormatError, match="is not UTF-8"):
        open_gguf(f"{tmp_path}/{name}")
    with pytest.raises(ggml.DTypeError, match="a path"):
        open_gguf(3)  # type: ignore[arg-type]


# The other commands


def test_without_a_command_there_is_help() -> None:
    done = subprocess.run([sys.executable, "-m", "ggml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "quantize" in done.stdout and "inspect" in done.stdout


def test_a_command_line_that_makes_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["quantize", "in.gguf"])
    assert ended.value.code == 2
    assert "TYPE" in capsys.readouterr().err


def test_devices(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("devices") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["device", "ggml"] and lines[1].split()[:2] == ["cpu", "CPU"]


def test_inspect(llama: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("inspect", llama) == 0
    text = capsys.readouterr().out
    assert "llama.block_count" in text and "'tiny llama'" in text and "288 in all]" in text
    assert "blk.3.ffn_up.weight       512 x 256  f32   524288" in text
    assert _run("inspect", "--no-tensors", llama) == 0
    assert "blk.3.ffn_up.weight" not in capsys.readouterr().out
    assert "No such file" in _error(capsys, "inspect", "none.gguf")


def test_inspect_shows_no_control_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama")
    writer.add_name("\x1b[31mred\n" + "x" * 500)
    writer.add_tensor("\x1b[2J", np.zeros(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert _run("inspect", tmp_path / "x.gguf") == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text and r"\x1b[31mred\n" in text and max(map(len, text.splitlines())) < 200
