"""A ``tokenizer.json`` as libllama's: equal tokens of every text, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")

import ggml  # noqa: E402
from ggml.gguf.value import MetadataValue  # noqa: E402
from ggml.tokenizers.keys import num_tokens, tokenizer_keys  # noqa: E402
from ggml.tokenizers.reading import read_tokenizer  # noqa: E402
from ggml.tokenizers.vocabulary import vocabulary_of  # noqa: E402

TEXTS = [path.read_text() for path in sorted(Path(__file__).parents[3].glob("docs/**/*.md"))]
# What none of the trained texts has.
OTHERS = [
    "Zo\u00eb's 12345 na\u00efve caf\u00e9s \u2014 \u4f60\u597d, \u043c\u0438\u0440!\n\n\t x  y",
    "a\u200bb \U0001f600",
    "DON'T 1st 2,345.6",
]
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA, QWEN = WORDS + r"\p{N}{1,3}" + REST, WORDS + r"\p{N}" + REST


def byte_level(pattern: str | None) -> Any:
    """Letters for bytes, merged; split by a pattern, or by GPT-2's."""
    pre = tokenizers.pre_tokenizers
    found = tokenizers.Tokenizer(tokenizers.models.BPE())
    if pattern is None:
        found.pre_tokenizer = pre.ByteLevel(add_prefix_space=False)
    else:
        split = pre.Split(tokenizers.Regex(pattern), "isolated")
        found.pre_tokenizer = pre.Sequence([split, pre.ByteLevel(add_prefix_space=False, use_regex=False)])
    found.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=2000, special_tokens=["<|begin|>", "<|end|>"], initial_alphabet=pre.ByteLevel.alphabet()
    )
    found.train_from_iterator(TEXTS, trainer)
    return found


def piece_level() -> Any:
    """Letters, with tokens for the bytes of those that are not there, as Llama 2 and Mistral have them."""
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=1500, special_tokens=["<unk>", "<s>", "</s>"])
    learned = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    learned.normalizer = tokenizers.normalizers.Replace(" ", "\u2581")
    learned.train_from_iterator(TEXTS, trainer)
    model = json.loads(learned.to_str())["model"]
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    names += [name for name in sorted(model["vocab"], key=model["vocab"].get) if name not in names]
    vocab = {name: token for token, name in enumerate(names)}
    merges = [tuple(one) for one in model["merges"]]
    found = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    found.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Prepend("\u2581"), tokenizers.normalizers.Replace(" ", "\u2581")]
    )
    found.decoder = tokenizers.decoders.Sequence(
        [
            tokenizers.decoders.Replace("\u2581", " "),
            tokenizers.decoders.ByteFallback(),
            tokenizers.decoders.Fuse(),
            tokenizers.decoders.Strip(" ", 1, 0),
        ]
    )
    found.add_special_tokens(["<unk>", "<s>", "</s>"])
    found.post_processor = tokenizers.processors.TemplateProcessing("<s> $0", special_tokens=[("<s>", 1)])
    return found


def saved(inner: Any, folder: Path) -> Path:
    path = folder / "tokenizer.json"
    inner.save(str(path))
    return path


# Where a vocabulary has no numbers of several digits, patterns that differ in those alone are as good.
@pytest.mark.parametrize(
    ("pattern", "names"), [(None, {"gpt-2"}), (LLAMA, {"llama-bpe"}), (QWEN, {"llama-bpe", "qwen2"})]
)
def test_letters_for_bytes(pattern: str | None, names: set[str], tmp_path: Path) -> None:
    inner = byte_level(pattern)
    keys = read_tokenizer(str(saved(inner, tmp_path)))
    assert keys["tokenizer.ggml.pre"].value in names
    assert_equal(keys, inner)


def test_pieces_with_bytes_beside_them(tmp_path: Path) -> None:
    inner = piece_level()
    keys = read_tokenizer(str(saved(inner, tmp_path)))
    assert keys["tokenizer.ggml.model"].value == "llama"
    assert (keys["tokenizer.ggml.add_bos_token"].value, keys["tokenizer.ggml.bos_token_id"].value) == (True, 1)
    assert_equal(keys, inner)


def assert_equal(keys: dict[str, MetadataValue], inner: Any) -> None:
    vocab = vocabulary_of(keys)
    assert vocab.num_tokens == num_tokens(keys) == inner.get_vocab_size()
    for text in (*TEXTS, *OTHERS):
        assert vocab.tokenize(text, True, True).tolist() == inner.encode(text).ids


def test_what_stands_beside_it_comes_along(tmp_path: Path) -> None:
    path = saved(byte_level(None), tmp_path)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [1, 7]}')
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    keys = read_tokenizer(str(path))
    assert vocabulary_of(keys).end_tokens >= {1, 7}
    assert keys["tokenizer.chat_template"].value == "{{ messages }}"
    named = [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    keys = read_tokenizer(str(path))
    assert [keys[f"tokenizer.chat_template{name}"].value for name in ("", ".tool_use")] == ["a", "b"]
    (tmp_path / "chat_template.jinja").write_text("c")
    assert read_tokenizer(str(path))["tokenizer.chat_template"].value == "c"


def test_what_libllama_has_no_like_of_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ggml.FileFormatError, match=r"pre_tokenizer: splits texts in a way"):
        read_tokenizer(str(saved(byte_level(r"[aeiou]+|[^aeiou]+"), tmp_path)))
    lower = byte_level(None)
    lower.normalizer = tokenizers.normalizers.Lowercase()
    with pytest.raises(ggml.FileFormatError, match=r"pre_tokenizer: splits texts in a way"):
        read_tokenizer(str(saved(lower, tmp_path)))
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a"))
    with pytest.raises(ggml.FileFormatError, match=r"model\.type: is 'WordLevel'; BPE can be converted"):
        read_tokenizer(str(saved(words, tmp_path)))


def test_programs_keep_their_tokenizer(tmp_path: Path) -> None:
    ggml_program = pytest.importorskip("tests.ggml.generation.models").program(1)
    path = saved(byte_level(None), tmp_path)
    ggml_program.save(tmp_path / "model.ggp", tokenizer=path)
    again = ggml.load_program(tmp_path / "model.ggp")
    assert dict(again.tokenizer) == read_tokenizer(str(path))
    again.save(tmp_path / "again.ggp")
    assert dict(ggml.load_program(tmp_path / "again.ggp").to("cpu").tokenizer) == dict(again.tokenizer)
    assert tokenizer_keys({}) == {}
    ggml.save({"a": ggml.ones(3)}, tmp_path / "none.gguf")
    with pytest.raises(ggml.FileFormatError, match="the file has no tokenizer"):
        ggml_program.save(tmp_path / "model.ggp", tokenizer=tmp_path / "none.gguf")
