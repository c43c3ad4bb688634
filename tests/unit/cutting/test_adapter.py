"""What is checked of a LoRA adapter before libllama sees it, and which part of it a slice has."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from cluster.api.errors import UsageError
from cluster.cutting.adapter import adapter_part
from cluster.cutting.model import Model
from cluster.sources.adapter import find_adapter, open_adapter, read_adapter_part
from cluster.sources.name import parse_adapter
from ggml.gguf.reader import parse_header
from tests.fakes.adapters import matrices_of, write_adapter
from tests.fakes.opened import opened
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.native.arch_models import write_model

Q, K = "blk.1.attn_q.weight", "blk.1.attn_k.weight"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("model") / "tiny.gguf", TinyModel(num_experts=2))


@pytest.fixture(scope="module")
def model(path: Path) -> Model:
    return opened(path).model


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a.gguf", ("a.gguf", 1.0)),
        ("a.gguf:0.5", ("a.gguf", 0.5)),
        ("/x/a:b.gguf", ("/x/a:b.gguf", 1.0)),
        ("/x/a:2:-1e-1", ("/x/a:2", -0.1)),
        ("a.gguf:0", ("a.gguf", 0.0)),
    ],
)
def test_a_scale_stands_behind_the_last_colon(text: str, found: tuple[str, float]) -> None:
    assert parse_adapter(text) == found


@pytest.mark.parametrize("scale", ["nan", "inf", "1e999"])
def test_a_scale_is_finite(scale: str) -> None:
    with pytest.raises(UsageError, match=f"lora: a:{scale}: a scale of"):
        parse_adapter(f"a:{scale}")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"general_type": "model"}, "general.type is 'model', must be 'adapter': this is no adapter"),
        ({"adapter_type": "control"}, "adapter.type is 'control', must be 'lora'"),
        ({"architecture": "qwen3"}, "general.architecture is 'qwen3', must be 'llama': it was made for another model"),
        ({"alpha": float("nan")}, "adapter.lora.alpha: nan is no finite number"),
        ({"alpha": None, "more": lambda out: out.add_uint32("adapter.lora.alpha", 8)}, "must be FLOAT32"),
        ({"more": lambda out: out.add_array("adapter.alora.invocation_tokens", [1])}, "that a text turns on"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_of_another_kind_is_refused(
    path: Path, model: Model, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    adapter = write_adapter(tmp_path / "a.gguf", path, **changes)
    with pytest.raises(UsageError, match=why) as caught:
        find_adapter(str(adapter), model)
    assert str(caught.value).startswith(f"lora: {adapter}: ")
    assert "; " in str(caught.value)


def _renamed(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def rename(matrices: dict[str, Any]) -> None:
        for part in ("lora_a", "lora_b"):
            matrices[f"{new}.{part}"] = matrices.pop(f"{old}.{part}")

    return rename


def _shaped(name: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    return lambda matrices: matrices.update({name: np.ascontiguousarray(change(matrices[name]))})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda found: found.pop(f"{Q}.lora_a"), f"tensor '{Q}': only one of lora_a and lora_b"),
        (lambda found: found.pop(f"{K}.lora_b"), f"tensor '{K}': only one of lora_a and lora_b"),
        (dict.clear, "holds no matrices"),
        (_renamed(Q, "blk.9.attn_q.weight"), "the model has no such tensor"),
        (_renamed(Q, "blk.01.attn_q.weight"), "the model has no such tensor"),
        (_renamed(Q, "blk.1.attn_norm.weight"), "do not fit the model's \\(128,\\)"),
        (_shaped(f"{Q}.lora_a", lambda a: a.T), "do not fit the model's"),
        (_shaped(f"{Q}.lora_a", lambda a: a[:2]), "do not fit the model's"),
        (_shaped(f"{Q}.lora_a", lambda a: a[:, :-32]), "do not fit the model's"),
        (_shaped(f"{Q}.lora_a", lambda a: a[0]), "do not fit the model's"),
        (_shaped(f"{Q}.lora_b", lambda b: b[:-1]), "do not fit the model's"),
        (_shaped(f"{Q}.lora_b", lambda b: b[None]), "do not fit the model's"),
        (_shaped("blk.0.ffn_up_exps.weight.lora_b", lambda b: b[:1]), "do not fit the model's"),
        (_shaped("blk.0.ffn_up_exps.weight.lora_a", lambda a: a[0]), "do not fit the model's"),
        (_shaped("token_embd.weight.lora_a", lambda a: a.T), "do not fit the model's"),
        (_shaped("token_embd.weight.lora_b", lambda b: b[:, :1]), "do not fit the model's"),
        (_shaped(f"{Q}.lora_a", lambda a: a.astype(np.int32)), "has type I32; convert it to one of F32"),
        (_shaped(f"{Q}.lora_a", lambda a: a.astype(np.float64)), "has type F64; convert it to one of F32"),
        (lambda found: found.update({"blk.0.bias": np.ones(4, np.float32)}), "ends in neither .lora_a nor .lora_b"),
    ],
)
def test_what_libllama_would_assert_is_found_before(
    path: Path, model: Model, tmp_path: Path, change: Callable[[dict[str, Any]], object], why: str
) -> None:
    matrices: dict[str, Any] = matrices_of(path)
    change(matrices)
    adapter = write_adapter(tmp_path / "a.gguf", path, matrices)
    with pytest.raises(UsageError, match=why) as caught:
        find_adapter(str(adapter), model)
    assert str(caught.value).startswith(f"lora: {adapter}: ")
    assert "; " in str(caught.value)


def test_an_embedding_that_is_the_head_takes_no_adapter(path: Path, tmp_path: Path) -> None:
    tied = write_tiny(tmp_path / "tied.gguf", TinyModel(tied=True, num_experts=2))
    without_head = {name: values for name, values in matrices_of(path).items() if not name.startswith("output.")}
    adapter = write_adapter(tmp_path / "a.gguf", tied, without_head)
    with pytest.raises(UsageError, match=r"tensor 'token_embd\.weight': is the model's head, too"):
        find_adapter(str(adapter), opened(tied).model)


def test_norms_that_were_trained_along_are_left_out(path: Path, model: Model, tmp_path: Path) -> None:
    norm = {"blk.0.attn_norm.weight": np.ones(128, np.float32)}
    adapter = write_adapter(tmp_path / "a.gguf", path, matrices_of(path) | norm)
    told = find_adapter(str(adapter), model)
    assert b"attn_norm" not in read_adapter_part(told, model, 0, 2)


@pytest.mark.parametrize("size", [0, 3, 24, 400, -1])
def test_a_file_that_ends_too_soon_is_refused(path: Path, model: Model, tmp_path: Path, size: int) -> None:
    adapter = write_adapter(tmp_path / "a.gguf", path)
    adapter.write_bytes(adapter.read_bytes()[:size])
    with pytest.raises(UsageError, match=f"lora: {adapter}: .*; give an adapter"):
        find_adapter(str(adapter), model)


def test_what_is_not_there_is_refused(model: Model, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for missing in (tmp_path / "none.gguf", tmp_path, tmp_path / "pipe"):
        with pytest.raises(UsageError, match=f"lora: {missing}: no such file"):
            find_adapter(str(missing), model)


def test_a_file_that_was_written_to_since_is_refused(path: Path, model: Model, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "a.gguf", path)
    told = find_adapter(str(adapter), model)
    os.utime(adapter, ns=(0, 0))
    with pytest.raises(UsageError, match=f"lora: {adapter}: was written to since the start"):
        read_adapter_part(told, model, 0, 2)


def test_slices_share_the_adapter_out(path: Path, model: Model, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "a.gguf", path, alpha=3.0)
    told = find_adapter(f"{adapter}:2", model)
    assert told.scale == 2.0
    values: dict[str, bytes] = {}
    for first, end in ((0, 1), (1, 3), (3, 4)):
        part = tmp_path / f"{first}.gguf"
        part.write_bytes(read_adapter_part(told, model, first, end))
        read = gguf.GGUFReader(part)
        assert read.get_field("adapter.lora.alpha").contents() == 3.0  # type: ignore[union-attr]
        for tensor in read.tensors:
            kind, _, rest = tensor.name.partition(".")
            number, _, suffix = rest.partition(".")
            name = f"blk.{int(number) + first}.{suffix}" if kind == "blk" else tensor.name
            assert name not in values
            values[name] = tensor.data.tobytes()
    assert values == {name: matrix.tobytes() for name, matrix in matrices_of(path).items()}
    first_part = parse_header(memoryview(read_adapter_part(told, model, 0, 1)), "part", 1 << 30)
    names = {info.name.split(".")[0] for info in first_part.tensors}
    assert names == {"blk", "token_embd"}


def test_what_shifts_the_numbers_by_which_a_graph_is_read_is_refused(tmp_path: Path) -> None:
    """Of RWKV 7's first layer, where the values that all layers mix in have no name."""
    path = write_model(tmp_path / "rwkv.gguf", "rwkv7-dense")
    found = opened(path).gguf
    later = matrices_of(path)
    first = {name: values for name, values in later.items() if name.startswith("blk.0.time_mix_key")}
    later = {name: values for name, values in later.items() if name.startswith("blk.1.time_mix_key")}
    one, other = (
        open_adapter(str(write_adapter(tmp_path / f"{place}.gguf", path, matrices)), found).adapter
        for place, matrices in enumerate((first, later))
    )
    with pytest.raises(UsageError, match=r"blk\.0\.time_mix_key\.weight.*cannot be added to the first layer"):
        adapter_part(one, found, 0, 2)
    for adapter, bounds in ((one, (0, 4)), (one, (2, 4)), (other, (0, 2)), (other, (1, 4))):
        adapter_part(adapter, found, *bounds)
