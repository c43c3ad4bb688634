"""A secret of a slice store, with which it knows the manifests that it wrote itself.

Whoever may write the store's folder, but may not read our files, can put a file and a manifest that fits it there; the
seal on it he cannot write.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cluster.node.own_files import read_own

NAME = "secret"
SECRET_BYTES = 32


class Seal:
    """The secret in `folder`, made when it is first needed. One that is not ours, or damaged, is replaced."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def of(self, content: bytes) -> str:
        """HMAC-SHA-256 (hex). OSError where the secret cannot be made."""
        secret = self._read() or self._make()
        return hmac.new(secret, content, hashlib.sha256).hexdigest()

    def is_on(self, content: bytes, seal: str) -> bool:
        """Whether `seal` is that of this store on `content`."""
        secret = self._read()
        found = hmac.new(secret, content, hashlib.sha256).hexdigest() if secret is not None else ""
        return secret is not None and hmac.compare_digest(found.encode(), seal.encode())

    def forget(self) -> None:
        """Delete the secret: nothing is sealed with it any more."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> bytes | None:
        secret = read_own(self._path, SECRET_BYTES)
        return secret if secret is not None and len(secret) == SECRET_BYTES else None

    def _make(self) -> bytes:
        """By link, so that of several writers one wins, and all have its secret."""
        part = self._path.with_name(f"{NAME}.{secrets.token_hex(8)}.part")
        if os.path.lexists(self._path) and self._read() is None:
            self._path.unlink(missing_ok=True)
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "wb") as file:
                file.write(secrets.token_bytes(SECRET_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(part, self._path)
        finally:
            part.unlink(missing_ok=True)
        secret = self._read()
        if secret is None:
            raise OSError(f"{self._path}: cannot be kept")
        return secret
