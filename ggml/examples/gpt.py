"""A small GPT that learns a text letter by letter, and then writes.

    python -m ggml.examples.gpt docs/ggml/design.md
    python -m ggml.examples.gpt FILE --steps 2000 --prompt "A row is "

Paragraphs are texts of their own: each ends with END, and so does what is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ggml as torch
from ggml import nn

#: The token behind a paragraph.
END = 0


class Letters:
    """The letters of a text as tokens from 1 on."""

    def __init__(self, text: str) -> None:
        self.letters = sorted(set(text))
        self._token_of = {letter: token for token, letter in enumerate(self.letters, start=END + 1)}

    def __len__(self) -> int:
        return len(self.letters) + 1

    def encode(self, text: str) -> list[int]:
        """ValueError for a letter that the text did not have."""
        unknown = sorted(set(text) - set(self.letters))
        if unknown:
            raise ValueError(f"the text has no {unknown[0]!r}; a prompt may have: {''.join(self.letters)!r}")
        return [self._token_of[letter] for letter in text]

    def decode(self, tokens: list[int]) -> str:
        return "".join(self.letters[token - 1] for token in tokens if token != END)


class GPT(nn.Module):
    """Tokens [N, T] to the logits of the ones that follow [N, T, vocabulary]; T is at most ``context``."""

    def __init__(self, vocabulary: int, context: int = 32, width: int = 64, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.context = context
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(layers)
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary)

    def forward(self, tokens: torch.Tensor) -> Any:
        length = tokens.shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)
        x = self.tokens(tokens) + self.places(torch.arange(length))
        for block in self.blocks:
            x = block(x, src_mask=mask)
        return self.head(self.norm(x))

    def generate(self, tokens: torch.Tensor, max_tokens: int, temperature: float = 0.0) -> torch.Tensor:
        """``tokens`` [1, T] with what follows: up to END, or ``max_tokens`` more. Temperature 0 takes the likeliest."""
        with torch.no_grad():
            for _ in range(max_tokens):
                logits = self(tokens[:, -self.context :])[:, -1]
                if temperature > 0:
                    following = torch.multinomial((logits / temperature).softmax(-1), 1)
                else:
                    following = logits.argmax(-1, keepdim=True)
                tokens = torch.cat([tokens, following], 1)
                if following.item() == END:
                    break
        return tokens


def tokens_of(text: str) -> tuple[Letters, NDArray[np.int64]]:
    """All paragraphs in a row, each with END behind it. ValueError for a text without any."""
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
    if not paragraphs:
        raise ValueError("the text is empty: give a file with some paragraphs")
    letters = Letters("".join(paragraphs))
    return letters, np.array([token for part in paragraphs for token in [*letters.encode(part), END]], np.int64)


def loss_of(logits: torch.Tensor, target: torch.Tensor) -> Any:
    """Nats a letter: of logits [N, T, vocabulary] and tokens [N, T]."""
    return nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())


def train(
    text: str, steps: int = 300, batch_size: int = 16, report: Callable[[str], object] = print
) -> tuple[GPT, Letters, list[float]]:
    """The model, its letters, and the loss of each step in nats a letter. ValueError for a text that is too short."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    letters, stream = tokens_of(text)
    model = GPT(len(letters))
    if len(stream) <= model.context + 1:
        raise ValueError(f"the text has {len(stream)} letters, and more than {model.context + 1} are needed")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    step = torch.compile_step(model, loss_of, optimizer, max_norm=1.0)
    losses = []
    for number in range(1, steps + 1):
        starts = rng.integers(0, len(stream) - model.context - 1, batch_size)
        rows = stream[starts[:, None] + np.arange(model.context + 1)]
        losses.append(step(torch.tensor(rows[:, :-1]), torch.tensor(rows[:, 1:])).item())
        if number % 50 == 0:
            report(f"step {number}: loss {np.mean(losses[-50:]):.3f}")
    return model.eval(), letters, losses


def main() -> None:
    """Print the loss as it falls, and then some text."""
    parser = argparse.ArgumentParser(prog="python -m ggml.examples.gpt", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="a text in UTF-8")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--prompt", default="The ")
    parser.add_argument("--temperature", type=float, default=0.5)
    options = parser.parse_args()
    model, letters, _ = train(options.file.read_text(encoding="utf-8"), options.steps)
    prompt = torch.tensor([letters.encode(options.prompt)])
    print(letters.decode(model.generate(prompt, 200, options.temperature)[0].tolist()))


if __name__ == "__main__":
    main()
