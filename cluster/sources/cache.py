"""What this node remembers of models that are far away: their headers, and what names stood for. No weights.

Files appear by rename. What is damaged counts as not there: every byte is checked when it is read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cluster.api.errors import UsageError
from cluster.node.own_files import make_own_folder, read_own
from cluster.node.xdg import cache_folder
from cluster.sources.source import FilePart, HubPart, ModelSource, Part, UrlPart
from cluster.store.parts import MAX_PARTS
from ggml.gguf.limits import MAX_HEADER_BYTES

_KINDS: dict[str, type[Part]] = {"file": FilePart, "url": UrlPart, "hub": HubPart}
_FIRST_LINE = re.compile(rb"([0-9a-f]{64})((?: [0-9]{1,9})+)")
_OWN_FILE = re.compile(r"[0-9a-f]{64}\.(headers|source)(\.[0-9a-f]{16}\.part)?")


class SourceCache:
    """A folder of small files. Whatever cannot be read or written is as if it were not there."""

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        self.root = Path(root) if root is not None else cache_folder("sources")

    def headers(self, source: ModelSource) -> tuple[str, tuple[bytes, ...]] | None:
        """The model's hash and the bytes of each part's header, as `remember_headers` got them."""
        data = self._read(_key(source), "headers", 2 * MAX_HEADER_BYTES)
        if data is None:
            return None
        line, _, rest = data.partition(b"\n")
        match = _FIRST_LINE.fullmatch(line)
        lengths = [int(length) for length in match[2].split()] if match else []
        if match is None or len(lengths) != len(source.parts) or sum(lengths) != len(rest):
            return None
        return match[1].decode(), tuple(_cut(rest, lengths))

    def remember_headers(self, source: ModelSource, model_hash: str, headers: Sequence[bytes]) -> None:
        """Keep them, if the source tells when it changes."""
        if source.is_versioned:
            line = " ".join([model_hash, *(str(len(header)) for header in headers)])
            self._write(_key(source), "headers", line.encode() + b"\n" + b"".join(headers))

    def resolved(self, name: str) -> ModelSource | None:
        """What `name` stood for when it was last resolved."""
        data = self._read(_hash(name), "source", 1 << 20)
        try:
            return None if data is None else _decode(json.loads(data))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def remember_resolved(self, source: ModelSource) -> None:
        self._write(_hash(source.name), "source", json.dumps(_encode(source)).encode())

    def clear(self) -> None:
        """Forget everything. Files of any other name are never touched."""
        for path in self.root.iterdir() if self.root.is_dir() else ():
            if _OWN_FILE.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def _read(self, key: str, kind: str, max_bytes: int) -> bytes | None:
        return read_own(self.root / f"{key}.{kind}", max_bytes)

    def _write(self, key: str, kind: str, data: bytes) -> None:
        part = self.root / f"{key}.{kind}.{secrets.token_hex(8)}.part"
        try:
            make_own_folder(self.root)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "wb") as file:
                file.write(data)
            part.replace(self.root / f"{key}.{kind}")
        except (OSError, UsageError):  # it is only remembered: the work goes on without
            part.unlink(missing_ok=True)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _key(source: ModelSource) -> str:
    return _hash(repr(source.parts))


def _cut(data: bytes, lengths: Sequence[int]) -> Iterator[bytes]:
    for length in lengths:
        yield data[:length]
        data = data[length:]


def _encode(source: ModelSource) -> dict[str, Any]:
    kind = next(name for name, part in _KINDS.items() if isinstance(source.parts[0], part))
    return {"name": source.name, "kind": kind, "parts": [dataclasses.astuple(part) for part in source.parts]}


def _decode(found: dict[str, Any]) -> ModelSource:
    kind = _KINDS[found["kind"]]
    wanted = [{"str": str, "int": int}[str(field.type)] for field in dataclasses.fields(kind)]
    parts = tuple(kind(*values) for values in found["parts"])
    for part in parts:
        for value, expected in zip(dataclasses.astuple(part), wanted, strict=True):
            if type(value) is not expected:
                raise ValueError("a field of the wrong type")
    if not 1 <= len(parts) <= MAX_PARTS or not isinstance(found["name"], str):
        raise ValueError("not a source")
    return ModelSource(found["name"], parts)
