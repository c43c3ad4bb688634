"""Stop strings end what people see, are never sent, and mean nothing in calls; however the text is cut."""

from __future__ import annotations

import pytest

from cluster.api.results import FinishReason, PromptCounts, TokenEvent
from cluster.chat.answer import Answer
from cluster.chat.formats.splitter import Splitter
from cluster.chat.formats.table import HERMES
from cluster.chat.reader import TurnReader
from tests.unit.chat.formats.samples import PARAMETERS

CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "STOP it"}}\n</tool_call>'


def answer_of(text: str, size: int, stop: tuple[str, ...]) -> Answer:
    reader = TurnReader(0, Splitter(None, False, HERMES, PARAMETERS), lambda: "call_0", stop)
    answer = Answer()
    events = [TokenEvent(7, text[begin : begin + size], -0.5) for begin in range(0, len(text), size)]
    events[0] = TokenEvent(7, events[0].text, -0.5, prompt=PromptCounts(11, 3, 11))
    for event in (*events, TokenEvent(None, "", finish_reason=FinishReason.LENGTH)):
        for made in reader.push(event):
            answer.add(made)
    assert reader.is_ended
    return answer


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
def test_the_text_ends_before_the_first_stop_string(size: int) -> None:
    answer = answer_of("It is STO warm. STOP here", size, ("here", "STOP"))
    assert (answer.content, answer.finish_reason, answer.stop_string) == ("It is STO warm. ", FinishReason.STOP, "STOP")
    assert answer.timings.num_prompt_tokens == 11
    assert answer.timings.num_cached_tokens == 3
    assert len(answer.content_logprobs) >= len(answer.content) // size


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_what_only_begins_like_one_is_sent(size: int) -> None:
    answer = answer_of("It is STO", size, ("STOP",))
    assert (answer.content, answer.finish_reason, answer.stop_string) == ("It is STO", FinishReason.LENGTH, None)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_arguments_are_not_looked_into(size: int) -> None:
    answer = answer_of(f"Well.\n{CALL}\nSTOP", size, ("STOP",))
    assert [call.arguments for call in answer.tool_calls] == ['{"city": "STOP it"}']
    assert (answer.content, answer.finish_reason) == ("Well.\n", FinishReason.STOP)
