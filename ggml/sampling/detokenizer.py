"""Detokenizer: bytes of tokens in, whole characters out."""

from __future__ import annotations

import codecs


class Detokenizer:
    """Emits a character once its last byte is known, and U+FFFD once bytes can no longer become one.

    All texts together equal ``joined_bytes.decode("utf-8", errors="replace")``.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_bytes: bytes) -> str:
        return self._decoder.decode(token_bytes)

    def flush(self) -> str:
        """U+FFFD for a character that was never completed, else nothing. The text is over."""
        return self._decoder.decode(b"", final=True)
