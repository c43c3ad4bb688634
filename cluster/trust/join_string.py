"""What a machine is given to join a cluster: a secret for us, and by what it knows us."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from cluster.api.errors import UsageError
from cluster.trust.names import BASE32

VERSION = "gc1"
ID_CHARS = 6
SECRET_CHARS = 26  # 130 bits
HASH_CHARS = 32  # 160 bits
MAX_CHARS = 256
_TEXT = re.compile(
    rf"{VERSION}\.([{BASE32}]{{{ID_CHARS}}})\.([{BASE32}]{{{SECRET_CHARS}}})\.([{BASE32}]{{{HASH_CHARS}}})"
)


@dataclass(frozen=True, slots=True)
class JoinString:
    """The token `id` with its secret, and the hash of the authority's key, without which nobody is trusted."""

    id: str
    secret: str = field(repr=False)
    ca_hash: str

    @property
    def text(self) -> str:
        """As it is given to users; `of_text` reads it."""
        return f"{VERSION}.{self.id}.{self.secret}.{self.ca_hash}"

    @classmethod
    def of_text(cls, text: str) -> JoinString:
        """From the string, or from the whole line that it ends. UsageError that does not repeat the secret."""
        *_, stripped = ["", *text.split()] if len(text) <= MAX_CHARS else [""]
        found = _TEXT.fullmatch(stripped)
        if found is not None:
            return cls(*found.groups())
        if re.match(r"gc\d+\.", stripped) and not stripped.startswith(f"{VERSION}."):
            raise UsageError("join string: made by another version of ggml-cluster; run the same version on both ends")
        raise UsageError(
            f"join string: {len(text)} characters that are none; copy the whole of what cluster token create prints"
        )
