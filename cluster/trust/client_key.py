"""What a client elsewhere is given: the secret that it proves, and by what it knows the cluster. One line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from cluster.api.errors import UsageError
from cluster.node.secret import SECRET_BYTES, Secret
from cluster.trust.join_string import HASH_CHARS
from cluster.trust.names import BASE32

VERSION = "gk1"
MAX_CHARS = 256
_TEXT = re.compile(rf"{VERSION}\.([0-9a-f]{{{2 * SECRET_BYTES}}})\.([{BASE32}]{{{HASH_CHARS}}})")


@dataclass(frozen=True, slots=True)
class ClientKey:
    """`ca_hash`: of the authority's key, without which nobody is trusted."""

    secret: Secret = field(repr=False)
    ca_hash: str

    @property
    def text(self) -> str:
        """As it is given to users; `of_text` reads it."""
        return f"{VERSION}.{self.secret.text}.{self.ca_hash}"

    @classmethod
    def of_text(cls, text: str) -> ClientKey:
        """UsageError that does not repeat the secret."""
        found = _TEXT.fullmatch(text.strip()) if len(text) <= MAX_CHARS else None
        if found is None:
            raise UsageError(
                f"client key: {len(text)} characters that are none; copy the whole of what cluster connect --print-key "
                "prints on a node"
            )
        return cls(Secret.of_text(found[1]), found[2])
