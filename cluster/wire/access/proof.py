"""Proofs that both ends of a call know the same secret. The secret itself is never sent.

The caller sends, as metadata, the time, a random number, and a code over these, the method and the port that it
calls, made with the secret. The server answers with another code over the same, before its first message: whoever
listens at a port where our server was learns nothing to use at another, and can give no answer that is believed.

Over TLS nobody overhears a proof, and certificates say who answers: such a proof names neither time nor port, so that
neither clocks that differ nor ports that are mapped do any harm.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable, Iterator
from typing import Any

from cluster.api.errors import UnauthenticatedError
from cluster.node.secret import Secret

PROOF_KEY = "ggml-cluster-proof"
# A proof is made for each call anew, and used up within the time in which a connection comes about. What is overheard
# is of no use after it; both clocks may differ by as much.
LIFETIME_S = 60
OVER_TLS = "tls"  # in the place of the time
NONCE_BYTES = 16
MAX_PROOF_CHARS = 256  # a stranger may send that many; ours have some 120

Metadata = tuple[tuple[str, str], ...]


class Proof:
    """What one call of the method at `path` sends to a port, and expects back."""

    def __init__(self, secret: Secret, port: int | None, path: str) -> None:
        """`port`: where the server listens; None over TLS."""
        made = OVER_TLS if port is None else str(int(time.time()))
        sent = f"{made}.{secrets.token_hex(NONCE_BYTES)}"
        self._expected = _code(secret, "answer", port, path, sent)
        self.metadata: Metadata = ((PROOF_KEY, f"{sent}.{_code(secret, 'call', port, path, sent)}"),)

    def check(self, answered: Iterable[Any] | None, peer: str) -> None:
        """UnauthenticatedError unless `answered`, the initial metadata of the answer, proves the secret too."""
        if not hmac.compare_digest(_proof_in(answered), self._expected.encode()):
            raise UnauthenticatedError(
                f"{peer}: what listens there does not know this cluster's secret; see what it is, and that its port is "
                "not another one's, forwarded"
            )


def proved_messages(call: Any, proof: Proof | None, peer: str) -> Iterator[bytes]:
    """The messages of an answer, the first of them once `peer` has proved the secret. UnauthenticatedError."""
    if proof is not None:
        first = next(call, None)
        proof.check(call.initial_metadata(), peer)
        if first is None:
            return
        yield first
    yield from call


def answer_to(secret: Secret, port: int, path: str, metadata: Iterable[Any] | None) -> Metadata | None:
    """What to answer a call to our port with; None where `metadata` does not prove that the caller knows the secret."""
    proof = _proof_in(metadata).decode("ascii", "replace")
    sent, _, code = proof.rpartition(".")
    made = sent.partition(".")[0]
    named = None if made == OVER_TLS else port
    if not hmac.compare_digest(code.encode(), _code(secret, "call", named, path, sent).encode()):
        return None
    # What stands there now is what a holder of the secret wrote.
    if named is not None and abs(time.time() - int(made)) > LIFETIME_S:
        return None
    return ((PROOF_KEY, _code(secret, "answer", named, path, sent)),)


def _code(secret: Secret, kind: str, port: int | None, path: str, sent: str) -> str:
    where = OVER_TLS if port is None else port
    return hmac.digest(secret.key, f"{kind} {where} {path} {sent}".encode(), hashlib.sha256).hex()


def _proof_in(metadata: Iterable[Any] | None) -> bytes:
    for key, value in metadata or ():
        if key == PROOF_KEY:
            return (value if isinstance(value, bytes) else str(value).encode())[:MAX_PROOF_CHARS]
    return b""
