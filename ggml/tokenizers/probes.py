"""Texts by which two tokenizers are told apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

#: Where the patterns of tokenizers differ: numbers, contractions, cases, runs of spaces, line ends, scripts, symbols.
_TEXTS = (
    "Hello, world! It's a test; they'll see, I'd say we've DON'T you're 'sINGLE'",
    "one 12 123 1234 12345 123456 1234567 3.14159 1,000,000 v1.2.3 0x1F 2024-01-31",
    "  two   spaces\tand\t\ttabs \n\n\nlines\r\nand \n   more   \n\t\n  end  ",
    "def f(x):\n    return {'a': [x**2 for x in range(10)]}  # comment\n\n\nclass A:\n\tpass\n",
    "https://example.org/a/b?c=d&e=f#g user@example.org C:\\path\\file <|not_a_token|> </s> <b>",
    "caf\u00e9 na\u00efve \u00dcber stra\u00dfe \u00c5ngstr\u00f6m \u00e6\u00f8\u00e5 \u0141\u00f3d\u017a",
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440 \u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac "
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u0928\u092e\u0938\u094d\u0924\u0947 "
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u3053\u3093\u306b\u3061\u306f\u3001\u4e16\u754c\uff01 "
    "\uc548\ub155\ud558\uc138\uc694 \uff11\uff12\uff13 \u4e00\u4e8c\u4e09",
    "\U0001f600\U0001f680 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2192 \u2264 \u20ac \u00bd \u2122 \u2026 \u2014 "
    "\u00ab\u00bb \u201cq\u201d \u00a0nbsp\u2003em\u200bzero",
    "CamelCaseWORDS mixedCASEs ALLCAPS snake_case kebab-case a.b.c ... !!! ??? ---- ==== ((())) \"'`",
    " leading", "trailing ", " ", "\n", "a", "A1b2C3", "'tis 'Twas rock'n'roll O'Neill's", "x" * 40, "ab" * 20,
)  # fmt: skip

#: So many tokens of the vocabulary are texts, too: what pieces are not made by merging is found so.
_MOST_TOKENS = 1500


def probes(tokenizer: Any) -> Iterator[str]:
    """The texts, and those of tokens all over the vocabulary of a ``tokenizers.Tokenizer``."""
    yield from _TEXTS
    size = tokenizer.get_vocab_size()
    for token in range(0, size, max(1, size // _MOST_TOKENS)):
        text = tokenizer.decode([token])
        if text and "\ufffd" not in text:
            yield text
            yield f"x {text}1"
