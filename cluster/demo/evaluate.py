"""Says what share of the stories a model writes is well formed, and whether its chats keep to what was asked.

    python -m cluster.demo.evaluate [MODEL.gguf] -n 200 --temp 0.8 --seed 1 --chats 200 --follow-ups 100

The model runs whole in libllama, through the package llama_cpp. For a story it gets nothing but the opening; chats go
through the chat template in the file.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.demo import model_path
from cluster.demo.chat_score import (
    Message,
    Reply,
    Tally,
    score_asked,
    score_follow_ups,
    score_long_chats,
    score_small_talk,
)
from cluster.demo.checker import check_story
from cluster.demo.grammar import OPENINGS

MAX_STORY_TOKENS = 320
CHAT_CONTEXT = 4096


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampler settings, in the words of llama-server; temp 0 is greedy."""

    temp: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05


@dataclass(frozen=True, slots=True)
class Score:
    """``violations`` counts stories by the kind of their first one; ``samples`` shows one of each kind."""

    num_stories: int
    num_well_formed: int
    num_distinct: int
    violations: dict[str, int]
    samples: dict[str, tuple[str, str]]

    @property
    def share(self) -> float:
        return self.num_well_formed / self.num_stories


def load_whole(path: Path, num_threads: int = 2, n_ctx: int = 512) -> Any:
    """The model in llama_cpp, with room for one story by default. SystemExit where the package or file is missing."""
    try:
        from llama_cpp import Llama  # only here: --help must work without it
    except ImportError as error:
        raise SystemExit(
            f"evaluate: the package llama_cpp cannot be imported ({error}); pip install llama-cpp-python"
        ) from None
    if not path.is_file():
        raise SystemExit(f"evaluate: {path}: no such file; name a GGUF or leave it out for the shipped model")
    return Llama(str(path), n_ctx=n_ctx, n_threads=num_threads, n_threads_batch=num_threads, verbose=False)


def write_stories(model: Any, num_stories: int, sampling: Sampling, seed: int) -> Iterator[str]:
    """``num_stories`` stories; the openings take turns, and story i is drawn with seed + i."""
    for index, opening in enumerate(itertools.islice(itertools.cycle(OPENINGS), num_stories)):
        answer = model.create_completion(
            opening,
            max_tokens=MAX_STORY_TOKENS,
            temperature=sampling.temp,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            repeat_penalty=1.0,
            seed=seed + index,
        )
        yield opening + answer["choices"][0]["text"]


def replies(model: Any, sampling: Sampling) -> Reply:
    """Answers chats through the template of the file. SystemExit where it has none."""
    if "tokenizer.chat_template" not in model.metadata:
        raise SystemExit("evaluate: this model has no chat template; leave out --chats, --follow-ups and --long-chats")

    def reply(messages: list[Message], seed: int) -> str:
        answer = model.create_chat_completion(
            messages,
            max_tokens=MAX_STORY_TOKENS,
            temperature=sampling.temp,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            repeat_penalty=1.0,
            seed=seed,
        )
        return str(answer["choices"][0]["message"]["content"])

    return reply


def score(stories: Iterator[str]) -> Score:
    """Checks each story."""
    kinds: Counter[str] = Counter()
    samples: dict[str, tuple[str, str]] = {}
    texts = list(stories)
    for story in texts:
        if problems := check_story(story):
            kind = problems[0].partition(":")[0]
            kinds[kind] += 1
            samples.setdefault(kind, (problems[0], story))
    return Score(
        num_stories=len(texts),
        num_well_formed=len(texts) - kinds.total(),
        num_distinct=len(set(texts)),
        violations=dict(kinds.most_common()),
        samples=samples,
    )


def _print(result: Score) -> None:
    print(
        f"well formed: {result.num_well_formed} of {result.num_stories} = {100 * result.share:.1f} %, "
        f"{result.num_distinct} distinct"
    )
    for kind, count in result.violations.items():
        problem, story = result.samples[kind]
        print(f"{count:5d}  {kind}\n       for example: {problem}\n       in: {story}")


def _print_tally(name: str, tally: Tally) -> None:
    print(
        f"{name}: {tally.num_right} of {tally.num_answers} = {100 * tally.num_right / tally.num_answers:.1f} % right; "
        f"{tally.num_kept} have what was asked, {tally.num_well_formed} are well formed; missed {tally.missed}",
        flush=True,
    )
    for sample in tally.samples:
        print(f"       {sample}")


def _score_chats(args: argparse.Namespace, sampling: Sampling) -> None:
    reply = replies(load_whole(args.model, args.threads, CHAT_CONTEXT), sampling)
    if args.chats:
        _print_tally("asked", score_asked(reply, args.chats, args.seed))
    if args.follow_ups:
        _print_tally("changed", score_follow_ups(reply, args.follow_ups, args.seed))
    if args.long_chats:
        _print_tally("changed six times", score_long_chats(reply, args.long_chats, 6, args.seed))
    right, num_phrases = score_small_talk(reply, args.seed)
    print(f"small talk: {right} of {num_phrases} phrases get their answer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=model_path())
    parser.add_argument("-n", type=int, default=200, help="number of stories")
    parser.add_argument("--temp", type=float, default=Sampling().temp)
    parser.add_argument("--top-k", type=int, default=Sampling().top_k)
    parser.add_argument("--top-p", type=float, default=Sampling().top_p)
    parser.add_argument("--min-p", type=float, default=Sampling().min_p)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--chats", type=int, default=0, help="stories to ask for in chats")
    parser.add_argument("--follow-ups", type=int, default=0, help="stories to have changed")
    parser.add_argument("--long-chats", type=int, default=0, help="chats of one story and six changes")
    args = parser.parse_args()
    if args.n < 1:
        parser.error(f"-n {args.n}: no story to check; give at least 1")
    sampling = Sampling(args.temp, args.top_k, args.top_p, args.min_p)
    _print(score(write_stories(load_whole(args.model, args.threads), args.n, sampling, args.seed)))
    if args.chats or args.follow_ups or args.long_chats:
        _score_chats(args, sampling)


if __name__ == "__main__":
    main()
