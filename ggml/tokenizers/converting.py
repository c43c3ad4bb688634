"""A ``tokenizer.json`` as GGUF has it, so that libllama makes the same tokens of a text.

The file has patterns that split a text; libllama has those patterns under names. A name is taken where every probe
comes out the same, and where none does the tokenizer is refused: nothing is served that only seems to fit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ggml.core.errors import FileFormatError
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType, string, string_array, uint32
from ggml.tokenizers.beside import chat_templates, end_tokens
from ggml.tokenizers.json_file import open_json
from ggml.tokenizers.keys import MODEL, TEMPLATE, TOKENS
from ggml.tokenizers.probes import probes
from ggml.tokenizers.vocabulary import vocabulary_of
from worker_native import Vocab

Keys = dict[str, MetadataValue]

#: libllama's names of patterns that differ, the most usual ones first.
_PATTERNS = (
    "gpt-2", "llama-bpe", "qwen2", "tekken", "gpt-4o", "deepseek-v3", "deepseek-llm", "deepseek-coder", "smollm",
    "starcoder", "falcon", "stablelm2", "olmo", "dbrx", "command-r", "mpt", "refact", "codeshell", "bloom",
    "chatglm-bpe", "viking", "poro-chat", "gpt3-finnish", "minerva-7b", "exaone", "exaone4", "chameleon", "superbpe",
    "trillion", "bailingmoe", "llama4", "seed-coder", "hunyuan", "hunyuan-dense", "kimi-k2", "qwen35", "tiny_aya",
    "joyai-llm", "jais-2", "default",
)  # fmt: skip

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)  # as GGUF numbers what a token is for


def converted(path: Path) -> Keys:
    """The keys of a tokenizer. FileFormatError for one that libllama has no like of."""
    inner = open_json(path, "save")
    raw = json.loads(path.read_text(encoding="utf-8"))
    model = raw.get("model") or {}
    if model.get("type") != "BPE":
        raise FileFormatError(str(path), "model.type", f"is {model.get('type')!a}; BPE can be converted, others cannot")
    keys = _common(path, raw, inner)
    wanted = {text: inner.encode(text, add_special_tokens=False).ids for text in probes(inner)}
    for more in _by_pieces(model, inner) if model.get("byte_fallback") else _by_merges(model):
        found = {**keys, **more}
        if _makes_the_same(found, wanted):
            return found | _around(found, inner)
    raise FileFormatError(
        str(path), "pre_tokenizer", "splits texts in a way that libllama does not know; take the tokenizer from a GGUF"
    )


def _common(path: Path, raw: Mapping[str, Any], inner: Any) -> Keys:
    """The tokens, what each is for, the end tokens and the chat templates."""
    names = {token: name for name, token in inner.get_vocab(with_added_tokens=True).items()}
    added = {one["id"]: one for one in raw.get("added_tokens") or ()}
    size = max(names, default=-1) + 1
    has_bytes = bool((raw.get("model") or {}).get("byte_fallback"))
    unknown = (raw.get("model") or {}).get("unk_token")
    kinds = [_kind(names.get(token), added.get(token), unknown, has_bytes) for token in range(size)]
    tokens = [names.get(token, f"[PAD{token}]") for token in range(size)]
    keys: Keys = {
        TOKENS: string_array(tuple(tokens)),
        "tokenizer.ggml.token_type": _int32_array(kinds),
    }
    ends = [token for token in end_tokens(path) if token < size]
    for name, token in zip(("eos", "eot", "eom"), ends, strict=False):  # libllama has no room for more of them
        keys[f"tokenizer.ggml.{name}_token_id"] = uint32(token)
    for name, template in chat_templates(path).items():
        keys[f"{TEMPLATE}.{name}" if name else TEMPLATE] = string(template)
    return keys


def _kind(name: str | None, added: Mapping[str, Any] | None, unknown: str | None, has_bytes: bool) -> int:
    if name is None:
        return _UNUSED
    if name == unknown:
        return _UNKNOWN
    if added is not None:
        return _CONTROL if added.get("special") else _USER_DEFINED
    return _BYTE if has_bytes and len(name) == 6 and name.startswith("<0x") and name.endswith(">") else _NORMAL


def _by_merges(model: Mapping[str, Any]) -> Iterator[Keys]:
    """Of letters that stand for bytes, with each of the patterns."""
    merges = [one if isinstance(one, str) else " ".join(one) for one in model.get("merges") or ()]
    keys: Keys = {MODEL: string("gpt2"), "tokenizer.ggml.merges": string_array(tuple(merges))}
    for pattern in _PATTERNS:
        yield {**keys, "tokenizer.ggml.pre": string(pattern)}


def _by_pieces(model: Mapping[str, Any], inner: Any) -> Iterator[Keys]:
    """Of letters, with tokens for the bytes of others: what is merged first has the highest score."""
    merges = ["".join(one.split(" ") if isinstance(one, str) else one) for one in model.get("merges") or ()]
    ranks: dict[str, int] = {}
    for rank, name in enumerate(merges):
        ranks.setdefault(name, rank)
    size = inner.get_vocab_size(with_added_tokens=True)
    scores = [-float(ranks.get(inner.id_to_token(token) or "", len(merges))) for token in range(size)]
    raw = np.array(scores, "<f4").tobytes()
    keys: Keys = {
        MODEL: string("llama"),
        "tokenizer.ggml.pre": string("default"),
        "tokenizer.ggml.scores": MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.FLOAT32, size, raw)),
    }
    for has_space in (True, False):
        yield {**keys, "tokenizer.ggml.add_space_prefix": MetadataValue(ValueType.BOOL, has_space)}


def _makes_the_same(keys: Keys, wanted: Mapping[str, list[int]]) -> bool:
    """Whether libllama, with these keys, makes these tokens of every probe."""
    plain = {
        **keys,
        "tokenizer.ggml.add_bos_token": MetadataValue(ValueType.BOOL, False),
        "tokenizer.ggml.add_eos_token": MetadataValue(ValueType.BOOL, False),
    }
    try:
        vocab = vocabulary_of(plain)
        return all(_ids(vocab, text) == ids for text, ids in wanted.items())
    except (ValueError, RuntimeError):  # a pattern that this build has no name for, or a text that it cannot spell
        return False


def _ids(vocab: Vocab, text: str) -> list[int]:
    found: list[int] = vocab.tokenize(text, False, True).tolist()
    return found


def _around(keys: Keys, inner: Any) -> Keys:
    """The tokens that belong around a text, by what the file puts around one."""
    alone = inner.encode("a", add_special_tokens=False).ids
    whole = inner.encode("a", add_special_tokens=True).ids
    begin = next((at for at in range(len(whole)) if whole[at : at + len(alone)] == alone), 0)
    before, behind = whole[:begin], whole[begin + len(alone) :]
    found: Keys = {
        "tokenizer.ggml.add_bos_token": MetadataValue(ValueType.BOOL, bool(before)),
        "tokenizer.ggml.add_eos_token": MetadataValue(ValueType.BOOL, bool(behind)),
    }
    if before:
        found["tokenizer.ggml.bos_token_id"] = uint32(before[0])
    if behind and "tokenizer.ggml.eos_token_id" not in keys:
        found["tokenizer.ggml.eos_token_id"] = uint32(behind[0])
    return found


def _int32_array(values: list[int]) -> MetadataValue:
    raw = np.array(values, "<i4").tobytes()
    return MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.INT32, len(values), raw))
