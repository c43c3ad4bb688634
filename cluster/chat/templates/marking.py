"""Names of control tokens in what people and tools write: they stay text.

A text in which such a name stands gets a mark behind the first character of the name. It goes through the template with
the text around it, and where it comes out the prompt is cut: no token reaches over a seam, so the name is never whole.
A text without such a name is not touched, and its prompt is that of any other server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cluster.api.errors import UsageError
from cluster.api.model import TokenKind, VocabularyTable
from cluster.api.prompt import Segment, Segments
from cluster.chat.templates.name_pattern import name_pattern

MARK = "\ufdd0"  # of no character, and never will be: Unicode leaves these to programs
FINAL = "\ufdd1"  # where the last message ends, if the answer goes on there
_RESERVED = re.compile("[\ufdd0-\ufdef]")

MAX_REQUEST_CHARS = 8 << 20
MAX_NAME_CHARS = 256  # of a longer name, so much is looked for
_SPACE = "\u2581"  # how vocabularies of SentencePiece write a space
_BRACKETED = re.compile(r"[<\[{(\uff5c].*[A-Za-z].*[>\]})\uff5c]")
_HTML = re.compile(
    r"</?(a|b|blockquote|body|br|caption|center|code|dd|del|div|dl|dt|em|figure|h[1-6]|head|hr|html|i|img|ins|li|ol|p|pre"
    r"|s|small|span|strong|sub|sup|table|tbody|td|tfoot|th|thead|title|tr|u|ul)/?>"
)


def cleaned(text: str) -> str:
    """Without the characters that marks are made of."""
    return _RESERVED.sub("", text) if _RESERVED.search(text) else text


class Marking:
    """The names that are looked for. Threads may share it."""

    def __init__(self, names: Iterable[str]) -> None:
        found = sorted({name[:MAX_NAME_CHARS] for name in names if name})
        self._pattern = re.compile(name_pattern(found))
        self._every = re.compile(f"(?={name_pattern(found)})")
        self._single = frozenset(name for name in found if len(name) == 1)
        self._beginnings = frozenset(name[:end] for name in found for end in range(1, len(name)))
        self._endings = frozenset(name[begin:] for name in found for begin in range(1, len(name)))
        self._all = "\0".join(found)
        self._longest = max(map(len, found), default=0)

    @classmethod
    def of(cls, vocabulary: VocabularyTable, sources: Sequence[str]) -> Marking:
        """Of a vocabulary, and of those who write its prompts: the texts of templates."""
        return cls(guarded_names(vocabulary, sources))

    def marked(self, text: str) -> str:
        """The text with a mark in each name, also where names overlap."""
        text = cleaned(text)
        if not self._longest or not self._pattern.search(text):
            return text
        parts, done = [], 0
        for match in self._every.finditer(text):
            begin = match.start()
            # A name of one character cannot be broken: it gets a segment of its own, in which it is text.
            parts += [text[done:begin], MARK if text[begin] in self._single else "", text[begin], MARK]
            done = begin + 1
        return "".join((*parts, text[done:]))

    def is_risky(self, text: str) -> bool:
        """Whether something put in front of the text or behind it could make a name of both."""
        head, tail = text[: self._longest], text[-self._longest :] if self._longest else ""
        if not text or not self._longest:
            return False
        if len(text) < self._longest and text in self._all:
            return True
        return any(tail[-size:] in self._beginnings for size in range(1, len(tail) + 1)) or any(
            head[:size] in self._endings for size in range(1, len(head) + 1)
        )

    def parted(self, text: str) -> str:
        """As `marked`, and with marks around the text, too: nothing before or behind it makes a name of both."""
        text = self.marked(text)
        return f"{MARK}{text}{MARK}" if self.is_risky(text) else text

    def segments(self, rendered: str) -> Segments:
        """The prompt, cut at the marks."""
        parts = [part for part in rendered.split(MARK) if part]
        return tuple(Segment(part, parse_special=part not in self._single) for part in parts)

    def count(self, rendered: str) -> int:
        """How many names stand in a prompt as tokens."""
        return sum(len(self._pattern.findall(part)) for part in rendered.split(MARK)) if self._longest else 0


class TextsOfRequest:
    """Marks the texts of one request, and sees what they have in them."""

    def __init__(self, marking: Marking | None) -> None:
        """Without `marking`, nothing is marked, and nothing is risky."""
        self._marking = marking
        self._num_chars = 0
        self.has_risky = False

    def __call__(self, text: str) -> str:
        """The text, marked. UsageError for more of them than a prompt can have."""
        self._num_chars += len(text)
        if self._num_chars > MAX_REQUEST_CHARS:
            raise UsageError(f"request: its texts have more than {MAX_REQUEST_CHARS} characters; give fewer")
        if self._marking is None:
            return cleaned(text)
        self.has_risky = self.has_risky or self._marking.is_risky(text)
        return self._marking.marked(text)


def guarded_names(vocabulary: VocabularyTable, sources: Sequence[str]) -> set[str]:
    """Names of control and unknown tokens, and of user-defined ones that structure a prompt.

    User-defined are also runs of white space, and the elements of HTML: those are parts of texts.
    """
    found: set[str] = set()
    for piece, kind in zip(vocabulary.pieces, vocabulary.kinds, strict=True):
        if kind not in (TokenKind.CONTROL, TokenKind.UNKNOWN, TokenKind.USER_DEFINED):
            continue
        name = piece.decode(errors="ignore")
        if kind is TokenKind.USER_DEFINED and not _structures(name, sources):
            continue
        found |= {name, name.replace(_SPACE, " ")}
    return {name for name in found if name.strip()}


def _structures(name: str, sources: Sequence[str]) -> bool:
    if not name or name[0].isspace() or name[0].isalnum() or not any(map(str.isalpha, name)):
        return False
    if any(name in source for source in sources):
        return True
    return _BRACKETED.fullmatch(name) is not None and _HTML.fullmatch(name) is None
