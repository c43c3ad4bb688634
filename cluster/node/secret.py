"""Secrets of a cluster: who knows one may speak to its ports. They lie in files that only their owner may read."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cluster.api.errors import ClusterError, UsageError
from cluster.node.private import read_unshared, write_private

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Secret:
    """32 random bytes. It is never sent: both ends of a call prove that they know it (`wire.proof`)."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != SECRET_BYTES:
            raise UsageError(f"secret: {len(self.key)} bytes; it must be {SECRET_BYTES}, written as hexadecimal digits")

    @classmethod
    def new(cls) -> Secret:
        return cls(secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def of_text(cls, text: str) -> Secret:
        """From hexadecimal digits. UsageError that does not repeat them."""
        try:
            return cls(bytes.fromhex(text.strip()))
        except ValueError:
            raise UsageError(
                f"secret: it must be {2 * SECRET_BYTES} hexadecimal digits; copy the whole of it"
            ) from None

    @property
    def text(self) -> str:
        """As hexadecimal digits."""
        return self.key.hex()

    @property
    def for_clients(self) -> Secret:
        """What clients of the cluster are given: with it they can speak to no stage."""
        return self._derived("client")

    @property
    def for_stages(self) -> Secret:
        """What stages ask their neighbours and the coordinator for."""
        return self._derived("stage")

    def _derived(self, use: str) -> Secret:
        """For one use: from it, neither this secret nor that for another use can be found."""
        return Secret(hmac.digest(self.key, use.encode(), hashlib.sha256))


def read_secret(path: Path) -> Secret:
    """The secret in a file. FileNotFoundError where there is none.

    ClusterError where another user owns the file or may read or write it, and where it holds no secret.
    """
    try:
        content = read_unshared(path, 1024)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ClusterError(f"{path}: {error.strerror or error}; give a file that holds a secret") from error
    try:
        return Secret.of_text(content.decode("ascii", "replace"))
    except UsageError as error:
        raise ClusterError(f"{path}: {error}") from error


def write_secret(path: Path, secret: Secret) -> None:
    """Replace the file in one step; only the owner may read it. ClusterError; OSError as writing raises it."""
    write_private(path, f"{secret.text}\n".encode("ascii"))


def given_secret(given: str | os.PathLike[str]) -> Secret:
    """What a caller gave as a secret: its digits, or the path of a file (a `Path`) that holds them."""
    if isinstance(given, str):
        return Secret.of_text(given)
    if not isinstance(given, os.PathLike):
        raise UsageError(f"secret: a {type(given).__name__}; give its digits, or the Path of a file that holds them")
    try:
        return read_secret(Path(given))
    except FileNotFoundError as error:
        raise UsageError(f"{os.fspath(given)}: there is no such file; give one that holds a secret") from error
