"""What a side computed, as checksums that outlive it: for models that are nowhere in memory as a whole."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.api.errors import UsageError
from cluster.node.disk_cache import read_cached, write_cached
from cluster.verify.rows import Rows, checksum, greedy

FORMAT = "ggml-cluster checksums 1"
MAX_FILE_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_ITEMS = 4096


@dataclass(frozen=True, slots=True)
class Checksums:
    """`key`: model, library, machine and settings that the bits depend on. `hidden[layer]` is SHA-256 in hex."""

    key: dict[str, Any]
    origin: str  # "whole", or the layers of the stages
    hidden: dict[int, str]
    logits: str
    greedy: tuple[int, ...]  # the most probable token after each row


def summed(key: dict[str, Any], origin: str, rows: Rows) -> Checksums:
    """The checksums of `rows`, logits included."""
    assert rows.logits is not None, "the last stage's rows have logits"
    hidden = {layer: checksum(values) for layer, values in rows.hidden.items()}
    return Checksums(key, origin, hidden, checksum(rows.logits), greedy(rows.logits))


def keep_checksums(sums: Checksums) -> None:
    """On this machine's disk. Those of a whole model are not replaced by those of a split one."""
    known = kept_checksums(sums.key)
    if known is not None and known.origin == "whole" and sums.origin != "whole":
        return
    merged = {**known.hidden, **sums.hidden} if known is not None and known.origin == sums.origin else sums.hidden
    value = asdict(sums)
    value["hidden"] = {str(layer): digest for layer, digest in merged.items()}
    write_cached("verify", sums.key, value)


def kept_checksums(key: dict[str, Any]) -> Checksums | None:
    """The checksums that were kept for exactly this key."""
    return read_cached("verify", key, _parse)


def save_checksums(sums: Checksums, path: str) -> None:
    """To a file that another machine can compare with."""
    try:
        Path(path).write_text(json.dumps({"format": FORMAT, **asdict(sums)}, indent=1), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give --save a path that can be written") from error


def load_checksums(path: str, key: dict[str, Any]) -> Checksums:
    """From a file. UsageError if it is none, or of another model or other settings than `key` says."""
    try:
        file = Path(path)
        if not file.is_file() or file.stat().st_size > MAX_FILE_BYTES:
            raise ValueError("not a regular file of their size")
        content = json.loads(file.read_text("utf-8"))
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"it does not say {FORMAT!r}")
        sums = _parse(content)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(
            f"{path}: no checksums: {' '.join(str(error).split())[:100]!a}; write them with: cluster verify --save"
        ) from error
    for name in ("model_hash", "steps", "context", "version"):
        if sums.key.get(name) != key[name]:
            raise UsageError(f"{path}: made for another {name.replace('_', ' ')}; verify there and here with the same")
    return sums


def _parse(value: Any) -> Checksums:
    if not isinstance(value["hidden"], dict):
        raise ValueError("hidden: not an object")
    hidden = {int(layer): _digest(digest) for layer, digest in value["hidden"].items()}
    tokens = tuple(value["greedy"])
    if len(hidden) > _MAX_ITEMS or len(tokens) > _MAX_ITEMS or not all(type(token) is int for token in tokens):
        raise ValueError("greedy: not a list of tokens")
    if not isinstance(value["origin"], str) or not value["origin"].isprintable() or not isinstance(value["key"], dict):
        raise ValueError("origin or key: of the wrong type")
    return Checksums(value["key"], value["origin"], hidden, _digest(value["logits"]), tokens)


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError("not a SHA-256 in hex")
    return value
