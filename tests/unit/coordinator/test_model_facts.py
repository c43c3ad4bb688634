"""What clients are told of the model, from files of which nothing is believed."""

from __future__ import annotations

from pathlib import Path

from cluster.api.model import ModelInfo, TokenKind
from cluster.coordinator.model_facts import model_info, vocabulary_table
from cluster.coordinator.spec import CoordinatorSpec
from cluster.coordinator.tokenizing.token_table import TokenTable
from cluster.sources.resolve import resolve
from cluster.wire import limits
from cluster.wire.codec.model import ModelParts, encode_model
from ggml.gguf.encode import encode_header
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType

TABLE = TokenTable((b"a", b"", b"b"), 1, {1}, 3, {1: b"<s>"}, bytes([1, 3, 4]), 2, True, 1)


def text(value: str) -> MetadataValue:
    return MetadataValue(ValueType.STRING, value)


def uint32(value: int) -> MetadataValue:
    return MetadataValue(ValueType.UINT32, value)


def told(tmp_path: Path, metadata: dict[str, MetadataValue]) -> ModelInfo:
    path = tmp_path / "model.gguf"
    path.write_bytes(encode_header({"general.architecture": text("llama"), **metadata}, ()))
    return model_info(spec(path), path, TABLE)


def spec(path: Path) -> CoordinatorSpec:
    source = resolve(str(path))
    return CoordinatorSpec(
        "demo", source, "ab", "llama", 64, 1, 1, 16, 8, True, "127.0.0.1", 0, num_parameters=7, weight_bytes=28
    )


def test_facts_are_those_of_the_file_and_its_vocabulary(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        {
            "general.name": text("A name"),
            "general.file_type": uint32(15),
            "general.fast": MetadataValue(ValueType.BOOL, True),
            "llama.context_length": uint32(4096),
            "llama.embedding_length": uint32(32),
            "llama.heads": MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.UINT32, 1, b"\1\0\0\0")),
            "tokenizer.chat_template.rag": text("rag"),
            "tokenizer.chat_template": text("default"),
            "tokenizer.ggml.model": text("gpt2"),
        },
    )
    assert (found.name, found.hash, found.architecture, found.context_length) == ("demo", "ab", "llama", 64)
    assert (found.context_length_train, found.hidden_width, found.file_type) == (4096, 32, "Q4_K - Medium")
    assert (found.num_parameters, found.size_bytes) == (7, 28)
    assert (found.vocab_size, found.vocab_type, found.bos, found.eos, found.end_tokens) == (3, 2, 1, 1, (1,))
    assert found.add_bos
    assert found.chat_templates == {"": "default", "rag": "rag"}
    assert found.metadata == {
        "general.architecture": "llama",
        "general.name": "A name",
        "general.file_type": "15",
        "general.fast": "true",
        "llama.context_length": "4096",
        "llama.embedding_length": "32",
    }


def test_a_file_that_says_less(tmp_path: Path) -> None:
    found = told(tmp_path, {"llama.context_length": text("many"), "general.file_type": uint32(999)})
    assert (found.context_length_train, found.hidden_width, found.file_type) == (0, 0, "")
    assert not found.chat_templates


def test_a_file_that_says_too_much_is_told_in_part(tmp_path: Path) -> None:
    """And what is told can be sent, and is taken at the other end."""
    templates = {f"tokenizer.chat_template.{place}": text("x") for place in range(100)}
    keys = {f"general.{place}": text("\u20ac" * 10_000) for place in range(3000)}
    long = {"tokenizer.chat_template.tool_use": text("y" * (5 << 20)), "general." + "k" * 1000: text("")}
    found = told(tmp_path, templates | keys | long)
    assert len(found.chat_templates) == limits.MAX_TEMPLATES
    assert len(found.chat_templates["tool_use"]) == limits.MAX_TEMPLATE_CHARS + 1
    assert len(found.metadata) == limits.MAX_METADATA
    parts = ModelParts()
    for message in encode_model(found):
        assert message.ByteSize() < limits.MAX_MESSAGE_BYTES
        parts.add(message)
    assert parts.finish() == found


def test_tokens_have_their_names_and_kinds() -> None:
    table = vocabulary_table(TABLE)
    assert table.pieces == (b"a", b"<s>", b"b")
    assert table.kinds == (TokenKind.NORMAL, TokenKind.CONTROL, TokenKind.USER_DEFINED)
