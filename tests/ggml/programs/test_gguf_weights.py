"""Weights from a GGUF file: by the program's names, by a mapping, and by those that llama.cpp gives to transformers."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from torch import nn  # noqa: E402

import ggml  # noqa: E402
from ggml.export.gguf_names import Naming  # noqa: E402
from ggml.io.mapped import open_mapped  # noqa: E402
from ggml.programs.references import KEY  # noqa: E402
from tests.ggml.programs.test_hostile import mutated  # noqa: E402
from tests.ggml.programs.test_lower import export  # noqa: E402
from tests.ggml.torchvision_ops import make_importable  # noqa: E402
from tests.native.tiny_model import TinyModel, Type, write_model  # noqa: E402
from tests.reference import WholeModel  # noqa: E402

IDS = torch.tensor([[1, 7, 2], [3, 0, 5]])


class Model(nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.tokens = nn.Embedding(8, 64)
        self.into, self.out = nn.Linear(64, 64), nn.Linear(64, 4, bias=False)
        self.norm = nn.LayerNorm(64)
        self.register_buffer("scale", torch.rand(64))

    def forward(self, ids: Any) -> Any:
        return self.out(self.norm(self.into(self.tokens(ids)).relu()) * self.scale)


@pytest.fixture
def other() -> nn.Module:
    """The model whose weights the files have; those that are exported are another's."""
    return Model(1).eval()


@pytest.fixture
def file(other: nn.Module, tmp_path: Path) -> Path:
    weights = {name: ggml.from_dlpack(value.detach()) for name, value in other.state_dict().items()}
    weights["into.weight"] = ggml.quantization.quantize(weights["into.weight"], ggml.q8_0)
    weights["norm.weight"] = weights["norm.weight"].half()
    ggml.save(weights, tmp_path / "weights.gguf")
    return tmp_path / "weights.gguf"


@pytest.fixture
def exported() -> Any:
    return export(Model(2), IDS)


def close(found: Any, wanted: Any, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), atol=atol)


def test_weights_are_used_where_they_lie(file: Path, other: nn.Module, exported: Any) -> None:
    program = ggml.export.lower(exported, weights=file)
    assert program.weights["into.weight"].dtype is ggml.q8_0  # a linear layer reads blocks
    assert program.weights["norm.weight"].dtype is ggml.float32  # a norm does not read float16
    close(program(IDS), other(IDS), 0.02)
    assert program.weights["into.weight"].raw_bytes() == ggml.load(file)["into.weight"].raw_bytes()


def test_names_of_the_file(file: Path, other: nn.Module, exported: Any) -> None:
    stored = ggml.load(file)
    renamed = file.with_name("renamed.gguf")
    ggml.save({f"x.{place}": tensor for place, tensor in enumerate(stored.values())}, renamed)
    names = {name: f"x.{place}" for place, name in enumerate(stored)}
    close(ggml.export.lower(exported, weights=renamed, names=names)(IDS), other(IDS), 0.02)
    for wrong, why in (
        ({**names, "nothing": "x.1"}, "names no weights of the model: nothing"),
        ({**names, "into.weight": "y"}, "names what .* does not have: y"),
        ({"into.weight": "x.1"}, "missing keys: into.bias, norm.bias, norm.weight, out.weight, tokens.weight"),
        ({**names, "into.weight": names["tokens.weight"]}, r"into\.weight: x\.\d \(8, 64\) instead of \(64, 64\)"),
    ):
        with pytest.raises((ggml.ArgumentError, ggml.StateDictError), match=why):
            ggml.export.lower(exported, weights=renamed, names=wrong)
    with pytest.raises(ggml.DTypeError, match="a dict of texts"):
        ggml.export.lower(exported, weights=renamed, names=[("a", "b")])
    with pytest.raises(ggml.ArgumentError, match="there is none"):
        ggml.export.lower(exported, names=names)


def test_a_model_that_torch_runs_in_part(file: Path, other: nn.Module) -> None:
    class Odd(Model):
        def forward(self, ids: Any) -> Any:
            return super().forward(ids) + torch.special.airy_ai(self.norm.weight).sum()

    odd = Odd(2).eval()
    program = ggml.export.lower(export(odd, IDS), weights=file)
    assert isinstance(program, ggml.export.MixedProgram)
    assert program.weights["into.weight"].dtype is ggml.q8_0
    odd.load_state_dict(other.state_dict())
    close(program(IDS), odd(IDS), 0.02)


def test_saved_with_the_weights_and_by_reference(file: Path, exported: Any, tmp_path: Path) -> None:
    program = ggml.export.lower(exported, weights=file)
    wanted = program(IDS).tolist()
    program.save(tmp_path / "whole.ggp")
    program.save(tmp_path / "small.ggp", embed=False)
    assert "into.weight" in ggml.load(tmp_path / "whole.ggp")
    # What had to be made of the file's, and what the model has itself, lies in the program's file.
    assert sorted(ggml.load(tmp_path / "small.ggp")) == ["norm.weight"]
    for name in ("whole.ggp", "small.ggp"):
        assert ggml.load_program(tmp_path / name)(IDS.numpy()).tolist() == wanted
    again = ggml.load_program(tmp_path / "small.ggp")
    again.save(tmp_path / "again.ggp", embed=False)
    assert ggml.load_program(tmp_path / "again.ggp")(IDS.numpy()).tolist() == wanted
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(file, moved / "weights.gguf")
    with pytest.raises(FileNotFoundError):
        ggml.load_program(tmp_path / "small.ggp")
    found = ggml.load_program(tmp_path / "small.ggp", weights=moved / "weights.gguf")
    assert found(IDS.numpy()).tolist() == wanted
    shutil.copy(tmp_path / "small.ggp", moved / "small.ggp")  # both together may move
    assert ggml.load_program(moved / "small.ggp")(IDS.numpy()).tolist() == wanted
    with pytest.raises(ggml.ArgumentError, match="has its weights itself"):
        ggml.load_program(tmp_path / "whole.ggp", weights=moved / "weights.gguf")
    with pytest.raises(ggml.ArgumentError, match="no weight is mapped"):
        ggml.export.lower(exported).save(tmp_path / "none.ggp", embed=False)
    program.record(IDS)
    with pytest.raises(ggml.ArgumentError, match="recordings need the weights"):
        program.save(tmp_path / "none.ggp", embed=False)


def test_another_file_is_refused(file: Path, exported: Any, tmp_path: Path) -> None:
    ggml.export.lower(exported, weights=file).save(tmp_path / "small.ggp", embed=False)
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(ggml.FileFormatError, match="sha256: is not that of the file"):
        ggml.load_program(tmp_path / "small.ggp")
    file.write_bytes(raw + bytes(32))
    with pytest.raises(ggml.FileFormatError, match="size"):
        ggml.load_program(tmp_path / "small.ggp")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda said: said.pop("size"), "is no JSON object of path, size"),
        (lambda said: said.update(size="1"), r"size: is no int"),
        (lambda said: said.update(size=True), r"size: is no int"),
        (lambda said: said.update(path=3), r"path: is no str"),
        (lambda said: said.update(path="a\0b"), "null character"),
        (lambda said: said.update(path="/dev/zero"), "not a regular file"),
        (lambda said: said["tensors"].update(a=1), "a name that is no text"),
        (lambda said: said["tensors"].update({"into.bias": "nothing"}), "names tensors that .* does not have: nothing"),
        (lambda said: said["tensors"].update({"nothing": "into.bias"}), "unexpected keys: nothing"),
        (lambda said: said["tensors"].update({"into.bias": "norm.bias", "norm.bias": "tokens.weight"}), "norm.bias"),
        (lambda said: said["tensors"].pop("into.bias"), "missing keys: into.bias"),
    ],
)
def test_hostile_references(change: Any, why: str, file: Path, exported: Any, tmp_path: Path) -> None:
    ggml.export.lower(exported, weights=file).save(tmp_path / "small.ggp", embed=False)
    raw = (tmp_path / "small.ggp").read_bytes()
    said = json.loads(open_mapped(str(tmp_path / "small.ggp"), 1).array_of_bytes(KEY) or b"")
    change(said)
    tensors = ggml.load(tmp_path / "small.ggp")
    from ggml.gguf.ours import PROGRAM as ARCHITECTURE
    from ggml.io.writing import write
    from ggml.programs.graph import KEY as PROGRAM

    graph = open_mapped(str(tmp_path / "small.ggp"), 1).array_of_bytes(PROGRAM)
    assert graph is not None and raw
    write(str(tmp_path / "hostile.ggp"), tensors, ARCHITECTURE, {PROGRAM: graph, KEY: json.dumps(said).encode()})
    with pytest.raises(ggml.FileFormatError, match=why):
        ggml.load_program(tmp_path / "hostile.ggp")


@pytest.mark.parametrize("count", [60, pytest.param(1500, marks=pytest.mark.slow)])
def test_mutated_references(count: int, file: Path, exported: Any, tmp_path: Path) -> None:
    """Bytes of both files, changed anywhere: refused, or run; nothing else."""
    ggml.export.lower(exported, weights=file).save(tmp_path / "small.ggp", embed=False)
    draw = random.Random(count)
    whole = {path: path.read_bytes() for path in (tmp_path / "small.ggp", file)}
    refused = 0
    for _ in range(count):
        path = draw.choice(list(whole))
        path.write_bytes(mutated(whole[path], draw))
        try:
            ggml.load_program(tmp_path / "small.ggp")(IDS.numpy())
        except (ggml.GgmlError, FileNotFoundError):
            refused += 1
        path.write_bytes(whole[path])
    assert refused > count // 3


def test_files_that_are_none(exported: Any, tmp_path: Path) -> None:
    (tmp_path / "damaged.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ggml.FileFormatError):
        ggml.export.lower(exported, weights=tmp_path / "damaged.gguf")
    with pytest.raises(FileNotFoundError):
        ggml.export.lower(exported, weights=tmp_path / "none.gguf")
    with pytest.raises(ggml.DTypeError):
        ggml.export.lower(exported, weights=3)


def test_an_architecture_that_is_not_known(exported: Any, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "odd.gguf", "rwkv6")
    writer.add_tensor("x", np.ones(4, np.float32))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    with pytest.raises(ggml.ArgumentError, match=r"architecture 'rwkv6', whose names are not known; give names="):
        ggml.export.lower(exported, weights=tmp_path / "odd.gguf")


@pytest.fixture(scope="module")
def transformers() -> Any:
    make_importable()
    return pytest.importorskip("transformers", reason="transformers is not installed")


@pytest.mark.parametrize("kind", [Type.F32, pytest.param(Type.Q8_0, marks=pytest.mark.slow)])
def test_a_file_of_llama_cpp_computes_what_llama_cpp_does(kind: Any, transformers: Any, tmp_path: Path) -> None:
    """The same file through libllama, and its tensors in the export of transformers' model with other weights."""
    tiny = TinyModel(weight_type=kind)
    path = write_model(tmp_path / "tiny.gguf", tiny)
    metadata = open_mapped(str(path), 1).header.metadata
    base = metadata.get("llama.rope.freq_base")
    config = transformers.LlamaConfig(
        vocab_size=tiny.vocab_size, hidden_size=tiny.width, intermediate_size=tiny.ffn_width,
        num_hidden_layers=tiny.num_layers, num_attention_heads=tiny.num_heads, num_key_value_heads=tiny.num_kv_heads,
        rms_norm_eps=float(metadata["llama.attention.layer_norm_rms_epsilon"].value), attn_implementation="sdpa",
        rope_theta=float(base.value) if base else 10000.0, use_cache=False, tie_word_embeddings=False,
    )  # fmt: skip

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = transformers.LlamaForCausalLM(config)

        def forward(self, ids: Any) -> Any:
            return self.inner(ids).logits

    ids = torch.tensor([[1, 250, 33, 7, 7, 100, 2, 64]])
    program = ggml.export.lower(export(Logits(), ids), require="ggml", weights=path)
    wanted = WholeModel(path, 64).forward(ids[0].tolist())
    found = program(ids).numpy()[0]
    # Keys and values are float16 there; beside blocks, both round activations to 8 bits, but not the same ones.
    error = np.abs(found - wanted).max() / np.abs(wanted).max()
    assert error < (1e-3 if kind is Type.F32 else 2e-2)
    blocks = [weight for weight in program.weights.values() if weight.dtype.is_quantized]
    assert len(blocks) == (0 if kind is Type.F32 else 4 * 7 + 2)


def test_gemmas_norms_are_one_less_than_stored(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "gemma.gguf", "gemma")
    writer.add_block_count(1)
    writer.add_tensor("blk.0.attn_norm.weight", np.full(4, 3.0, np.float32))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input_layernorm = nn.Module()
            self.input_layernorm.weight = nn.Parameter(torch.zeros(4))

        def forward(self, x: Any) -> Any:
            return x * (1 + self.input_layernorm.weight)

    class Gemma(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Module()
            self.model.layers = nn.ModuleList([Layer()])

        def forward(self, x: Any) -> Any:
            return self.model.layers[0](x)

    program = ggml.export.lower(export(Gemma(), torch.ones(4)), weights=tmp_path / "gemma.gguf", passes=())
    assert program(torch.ones(4)).tolist() == [3.0] * 4
    assert program.weights["model.layers.0.input_layernorm.weight"].tolist() == [2.0] * 4


def test_names_that_llama_cpp_gives(tmp_path: Path) -> None:
    naming = Naming(open_mapped(str(write_model(tmp_path / "tiny.gguf", TinyModel())), 1))
    for theirs, ours in (
        ("model.layers.3.self_attn.q_proj.weight", ["blk.3.attn_q.weight"]),
        ("inner.model.layers.0.mlp.down_proj.weight", ["blk.0.ffn_down.weight"]),
        ("lm_head.weight", ["output.weight", "token_embd.weight"]),
        ("model.layers.4.self_attn.q_proj.weight", []),
        ("nothing", []),
    ):
        assert list(naming.names(theirs)) == ours
    rows = naming.rows("blk.0.attn_q.weight")
    assert rows is not None and rows[:4].tolist() == [0, 2, 4, 6] and rows[16] == 1
    assert naming.rows("blk.0.attn_v.weight") is None


@pytest.mark.parametrize(("key", "value"), [("attention.head_count", 1 << 19), ("attention.key_length", 7)])
def test_heads_that_no_model_has(tmp_path: Path, key: str, value: int) -> None:
    """Nothing of such a size is made: the file's numbers are anybody's."""
    from gguf import GGUFWriter

    from ggml.export.gguf_names import Naming
    from ggml.io.mapped import open_mapped

    writer = GGUFWriter(tmp_path / "heads.gguf", "llama")
    numbers = {"attention.head_count": 4, "attention.head_count_kv": 4, "attention.key_length": 64, "block_count": 1}
    for name, number in {**numbers, "embedding_length": 256, key: value}.items():
        writer.add_uint32(f"llama.{name}", number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    naming = Naming(open_mapped(str(tmp_path / "heads.gguf"), 1))
    with pytest.raises(ggml.ArgumentError, match="which no model has"):
        naming.rows("blk.0.attn_q.weight")
