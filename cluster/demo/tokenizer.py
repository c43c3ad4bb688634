"""A byte-level BPE tokenizer in the manner of GPT-2: trained here, written into the GGUF, read again by
libllama.

Any UTF-8 text survives a round trip, since all 256 bytes are tokens. Text is first cut into words (a letter
run, a digit run or a run of other signs, each with at most one space before it); merges never cross a word.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

BOS = "<|startoftext|>"
EOS = "<|endoftext|>"
IM_START = "<|im_start|>"
IM_END = "<|im_end|>"
CHAT_CONTROLS = (BOS, EOS, IM_START, IM_END)
NUM_BYTES = 256
_SUFFIXES = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")

Pair = tuple[str, str]


def _byte_letters() -> tuple[str, ...]:
    """The printable character that stands for each byte in the vocabulary (the GPT-2 convention)."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    shifted = iter(range(NUM_BYTES, 2 * NUM_BYTES))
    return tuple(chr(byte if byte in plain else next(shifted)) for byte in range(NUM_BYTES))


BYTE_LETTERS = _byte_letters()
_LETTER_BYTES = {letter: byte for byte, letter in enumerate(BYTE_LETTERS)}


def _sort(character: str) -> str:
    if character.isspace():
        return "space"
    return {"L": "letter", "N": "number"}.get(unicodedata.category(character)[0], "other")


def _end_of_run(text: str, start: int, sort: str) -> int:
    while start < len(text) and _sort(text[start]) == sort:
        start += 1
    return start


def _end_of_word(text: str, start: int) -> int:
    suffix = next((s for s in _SUFFIXES if text.startswith(s, start)), None)
    if suffix:
        return start + len(suffix)
    first = start + (text[start] == " ")
    if first < len(text) and (sort := _sort(text[first])) != "space":
        return _end_of_run(text, first, sort)
    end = _end_of_run(text, start, "space")
    # A space run leaves its last character to the word that follows it.
    return end if end == len(text) or end - start == 1 else end - 1


def split_words(text: str) -> Iterator[str]:
    """The words of ``text``; joined they are ``text`` again."""
    start = 0
    while start < len(text):
        end = _end_of_word(text, start)
        yield text[start:end]
        start = end


def _letters(word: str) -> tuple[str, ...]:
    return tuple(BYTE_LETTERS[byte] for byte in word.encode())


def _join(pieces: Sequence[str], pair: Pair) -> tuple[str, ...]:
    joined: list[str] = []
    index = 0
    while index < len(pieces):
        both = tuple(pieces[index : index + 2]) == pair
        joined.append("".join(pair) if both else pieces[index])
        index += 2 if both else 1
    return tuple(joined)


def train_merges(texts: Iterable[str], num_merges: int) -> tuple[Pair, ...]:
    """Up to ``num_merges`` merges, most frequent pair first; ties go to the smaller pair, so runs agree."""
    counts = Counter(word for text in texts for word in split_words(text))
    words = {_letters(word): count for word, count in counts.items()}
    merges: list[Pair] = []
    while len(merges) < num_merges:
        pairs: Counter[Pair] = Counter()
        for pieces, count in words.items():
            for pair in itertools.pairwise(pieces):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = {_join(pieces, best): count for pieces, count in words.items()}
    return tuple(merges)


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Token ids: [0, 256) the bytes, then one per merge, then the control tokens: BOS, EOS and maybe more."""

    merges: tuple[Pair, ...]
    controls: tuple[str, ...] = CHAT_CONTROLS
    _cache: dict[str, tuple[int, ...]] = field(default_factory=dict, compare=False, repr=False)
    _ids: dict[str, int] = field(default_factory=dict, compare=False, repr=False)
    _ranks: dict[Pair, int] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._ids.update({token: index for index, token in enumerate(self.tokens)})
        self._ranks.update({pair: rank for rank, pair in enumerate(self.merges)})

    @property
    def tokens(self) -> tuple[str, ...]:
        """Every token as it stands in the GGUF, in id order."""
        return (*BYTE_LETTERS, *("".join(pair) for pair in self.merges), *self.controls)

    @property
    def bos_id(self) -> int:
        return NUM_BYTES + len(self.merges)

    @property
    def eos_id(self) -> int:
        return self.bos_id + 1

    def control_id(self, control: str) -> int:
        """The id of one of ``controls``."""
        return self.bos_id + self.controls.index(control)

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``, without BOS or EOS; text that looks like a control token stays text."""
        return [token for word in split_words(text) for token in self._encode_word(word)]

    def decode_bytes(self, token_ids: Iterable[int]) -> bytes:
        """The bytes of the tokens; control tokens stand for nothing."""
        tokens = self.tokens
        shown = (tokens[token] for token in token_ids if token < self.bos_id)
        return bytes(_LETTER_BYTES[letter] for token in shown for letter in token)

    def _encode_word(self, word: str) -> tuple[int, ...]:
        if word not in self._cache:
            self._cache[word] = tuple(self._ids[piece] for piece in self._merge(_letters(word)))
        return self._cache[word]

    def _merge(self, pieces: tuple[str, ...]) -> tuple[str, ...]:
        while len(pieces) > 1:
            pairs = set(itertools.pairwise(pieces)) & self._ranks.keys()
            if not pairs:
                break
            pieces = _join(pieces, min(pairs, key=self._ranks.__getitem__))
        return pieces
