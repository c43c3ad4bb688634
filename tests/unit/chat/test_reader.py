"""Tokens become the events of a turn: reasoning apart, log probabilities with their text, one end."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from cluster.api.errors import ClusterError
from cluster.api.results import FinishReason, PromptCounts, Timings, TokenEvent
from cluster.chat.answer import Answer
from cluster.chat.events import Content, End, Failed, PromptProgress, Reasoning, Started
from cluster.chat.formats.reasoning import PAIRS, ReasoningPair
from cluster.chat.formats.splitter import Splitter
from cluster.chat.reader import TurnReader

THINK = ReasoningPair("<think>\n", "\n</think>\n\n")
TIMINGS = Timings(num_prompt_tokens=3, num_tokens=9)


def reader(pair: ReasoningPair | None = None, is_reasoning: bool = False) -> TurnReader:
    return TurnReader(0, Splitter(pair, is_reasoning), lambda: "call_0")


def read(turn: TurnReader, texts: Iterable[str]) -> Answer:
    answer = Answer()
    for token, text in enumerate(texts):
        for event in turn.push(TokenEvent(token, text)):
            answer.add(event)
    for event in turn.push(TokenEvent(None, "", finish_reason=FinishReason.STOP, timings=TIMINGS)):
        answer.add(event)
    return answer


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("text", "is_reasoning", "reasoning", "content"),
    [
        ("<think>\nwhy\n</think>\n\nbecause", False, "why", "because"),
        ("<think>why</think>because", False, "why", "because"),
        ("why\n</think>\n\nbecause", True, "why", "because"),
        ("just </think> this <think>\n", False, "", "just </think> this <think>\n"),
        ("<think>\nwhy</thin", False, "why</thin", ""),
        ("<thin", False, "", "<thin"),
        ("<think>\n\n</think>\n\n\n\nx", False, "", "\n\nx"),
    ],
)
def test_reasoning_is_told_from_content(text: str, is_reasoning: bool, reasoning: str, content: str, size: int) -> None:
    pieces = [text[begin : begin + size] for begin in range(0, len(text), size)]
    answer = read(reader(THINK, is_reasoning), pieces)
    assert (answer.reasoning, answer.content) == (reasoning, content)


def test_text_of_a_model_without_reasoning_passes_at_once() -> None:
    turn = reader()
    events = turn.push(TokenEvent(5, "<think", prompt=PromptCounts(7, 2, 7)))
    assert events == [Started(0, 7, 2), Content(0, "<think")]


def test_progress_comes_before_the_start_and_only_there() -> None:
    turn = reader()
    assert turn.push(TokenEvent(None, "", prompt=PromptCounts(70, 2, 10))) == [PromptProgress(0, 10, 70)]
    assert turn.push(TokenEvent(None, "")) == []
    assert turn.push(TokenEvent(1, "a", prompt=PromptCounts(70, 2, 70))) == [Started(0, 70, 2), Content(0, "a")]


def test_log_probabilities_go_with_their_text_and_those_of_marks_are_left_out() -> None:
    turn = reader(THINK)
    texts = ["<think>", "\n", "why", " not", "\n</think>", "\n\n", "\N{SNOWMAN}"[:0], "\N{SNOWMAN}", " ok"]
    events = [event for token, text in enumerate(texts) for event in turn.push(TokenEvent(token, text, logprob=-0.5))]
    of_reasoning = [one.token for event in events if isinstance(event, Reasoning) for one in event.logprobs]
    of_content = [one.token for event in events if isinstance(event, Content) for one in event.logprobs]
    assert (of_reasoning, of_content) == ([2, 3], [6, 7, 8])
    assert [event.text for event in events if isinstance(event, Content)] == ["\N{SNOWMAN}", " ok"]


def test_the_end_counts_tokens_and_tells_the_stop_string() -> None:
    turn = reader(THINK)
    for token, text in enumerate(["<think>", "a", "b", "</think>", "c"]):
        turn.push(TokenEvent(token, text))
    last = TokenEvent(None, "", finish_reason=FinishReason.STOP, timings=TIMINGS, stop_string="X")
    assert turn.push(last) == [End(0, FinishReason.STOP, TIMINGS, 3, 0, "X")]
    assert turn.is_ended
    assert turn.push(last) == []


def test_a_failure_is_the_end() -> None:
    turn = reader()
    error = ClusterError("a stage is gone")
    assert turn.fail(error) == [Failed(0, error)]
    assert turn.fail(error) == []
    answer = Answer()
    answer.add(Failed(0, error))
    assert answer.error is error


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.id)
def test_every_pair_reads_what_it_writes(pair: ReasoningPair) -> None:
    answer = read(reader(pair), list(f"{pair.open}why\nso{pair.close}because"))
    assert (answer.reasoning, answer.content) == ("why\nso", "because")
    assert pair.is_opened_by(f"assistant\n{pair.open}")
    assert not pair.is_opened_by(f"assistant\n{pair.open}{pair.close}")
