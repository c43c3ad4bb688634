"""Files with a vocabulary and no weights, of the kinds that tokenizers stumble over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf

SENTENCE_PIECES = ("<unk>", "<s>", "</s>", "\u2581", *"abcdefgh", "\u2581cab")


def write_sentence_pieces(path: Path) -> Path:
    """A SentencePiece vocabulary of few letters, without byte tokens."""
    writer = gguf.GGUFWriter(path, "llama")
    _add_sizes(writer)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(SENTENCE_PIECES))
    writer.add_token_scores([-float(place) for place in range(len(SENTENCE_PIECES))])
    writer.add_token_types([2, 3, 3] + [1] * (len(SENTENCE_PIECES) - 3))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    return _written(writer, path)


def write_byte_pairs(
    path: Path,
    pattern: str,
    context_length: int = 256,
    more_names: Sequence[str] = (),
    more_types: Sequence[int] = (),
) -> Path:
    """All bytes, "th", "the", and control tokens, with the pre-tokenizer of that name."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(others)}
    tokens = [*(letters[byte] for byte in range(256)), "th", "the", "<bos>", "<eos>", "<|turn|>", *more_names]
    writer = gguf.GGUFWriter(path, "llama")
    _add_sizes(writer, context_length)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pattern)
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 258 + [3] * 3 + list(more_types))
    writer.add_token_merges(["t h", "th e"])
    writer.add_bos_token_id(258)
    writer.add_eos_token_id(259)
    writer.add_add_bos_token(True)
    return _written(writer, path)


CHAT_NAMES = ("<|im_start|>", "<|im_end|>", "<think>")  # control tokens, and one that is user-defined


def write_chat_pieces(path: Path, space_prefix: bool | None = None, name: str = "chat") -> Path:
    """A SentencePiece vocabulary with bytes, words and CHAT_NAMES; as a rule it puts a space before each text.

    With "phi-3" as `name`, libllama drops white space behind control tokens.
    """
    words = (
        "\u2581",
        "im",
        "st",
        "art",
        "im_",
        "sys",
        "tem",
        "\u2581sys",
        "\u2581i",
        "<|",
        "|>",
        *"abcdefghimnrsty<>|_",
    )
    tokens = ("<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *words, "<|endoftext|>", *CHAT_NAMES)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    _add_sizes(writer)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(tokens))
    writer.add_token_scores([-float(place) for place in range(len(tokens))])
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * len(words) + [3, 3, 3, 4])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if space_prefix is not None:
        writer.add_add_space_prefix(space_prefix)
    return _written(writer, path)


def write_chat_pairs(path: Path) -> Path:
    """All bytes, some pairs, and CHAT_NAMES; with the pre-tokenizer of GPT-2."""
    return write_byte_pairs(path, "gpt-2", more_names=CHAT_NAMES, more_types=(3, 3, 4))


def _add_sizes(writer: gguf.GGUFWriter, context_length: int = 256) -> None:
    writer.add_context_length(context_length)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)


def _written(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path
