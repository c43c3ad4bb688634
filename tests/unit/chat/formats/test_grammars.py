"""Every family's grammar takes what the family writes, and no other name, argument or order."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cluster.chat.formats.format import ToolFormat
from cluster.chat.formats.grammars.answer import Wanted, grammar_of
from cluster.chat.formats.reasoning import ReasoningPair
from cluster.chat.formats.spelling import spelled
from cluster.chat.formats.table import FORMATS, HARMONY, HERMES
from cluster.chat.messages import FormatKind, ResponseFormat, Tool, ToolCall, ToolChoice, ToolMode
from tests.unit.chat.formats.matching import Bytes
from tests.unit.chat.formats.samples import CALLS, PARAMETERS

UNIQUE = {form.id: form for form in FORMATS}
TOOLS = tuple(Tool(name, parameters=schema) for name, schema in PARAMETERS.items())
CONTROL = re.compile(r"<[|｜][^<>]*>|\[[A-Z_]+\]|<\|?tool_call\|>|\]<\]minimax\[>\[")
REQUIRED = ToolChoice(ToolMode.REQUIRED)


def names_in(form: ToolFormat) -> list[str]:
    return sorted({name for literal in form.literals for name in CONTROL.findall(literal)})


def vocabulary(form: ToolFormat, has_control: bool) -> Bytes:
    return Bytes([name for name in names_in(form) if name != "[TOOL_CALLS]["] if has_control else [])


def text_of(form: ToolFormat, *calls: ToolCall) -> str:
    end = "<|call|>" if form is HARMONY else ""  # an end token
    return spelled(form, calls).removeprefix(form.prime).removesuffix(end)


both = pytest.mark.parametrize("has_control", [False, True], ids=["text", "control"])
each = pytest.mark.parametrize("form", UNIQUE.values(), ids=UNIQUE)


@each
@both
def test_the_sample_is_taken(form: ToolFormat, has_control: bool) -> None:
    if form is HARMONY and not has_control:
        pytest.skip("its channels are control tokens in every vocabulary")
    words = vocabulary(form, has_control)
    calls = CALLS[:1] if form.is_single else CALLS
    for choice in (REQUIRED, ToolChoice()):
        grammar = grammar_of(Wanted(form, None, False, TOOLS, choice), words.control)
        text = text_of(form, *calls)
        assert words.taken(grammar, text) == text
        assert words.takes(grammar, text)


@each
@both
def test_wrong_names_and_arguments_are_not(form: ToolFormat, has_control: bool) -> None:
    if form is HARMONY and not has_control:
        pytest.skip("its channels are control tokens in every vocabulary")
    words = vocabulary(form, has_control)
    wrong = (
        ToolCall("abc123456", "get_whether", '{"city": "x"}'),
        ToolCall("abc123456", "get_weather", '{"town": "x"}'),
        ToolCall("abc123456", "get_weather", '{"city": "x", "days": "three"}'),
        ToolCall("abc123456", "get_weather", "{}"),
        ToolCall("abc123456", "now", '{"city": "x"}'),
    )
    for choice in (REQUIRED, ToolChoice()):
        grammar = grammar_of(Wanted(form, None, False, TOOLS, choice), words.control)
        for call in wrong:
            assert not words.takes(grammar, text_of(form, call)), (choice, call)


@each
@both
def test_one_tool_may_be_named_and_calls_be_one(form: ToolFormat, has_control: bool) -> None:
    if form is HARMONY and not has_control:
        pytest.skip("its channels are control tokens in every vocabulary")
    words = vocabulary(form, has_control)
    named = Wanted(form, None, False, TOOLS, ToolChoice(ToolMode.REQUIRED, ("now",)))
    assert words.takes(grammar_of(named, words.control), text_of(form, CALLS[1]))
    assert not words.takes(grammar_of(named, words.control), text_of(form, CALLS[0]))
    assert not words.takes(grammar_of(named, words.control), "no call")
    for choice in (REQUIRED, ToolChoice()):
        once = replace(named, choice=choice, is_parallel=False)
        assert words.takes(grammar_of(once, words.control), text_of(form, CALLS[0]))
        assert not words.takes(grammar_of(once, words.control), text_of(form, *CALLS))


@each
@both
def test_text_is_free_but_where_a_call_begins(form: ToolFormat, has_control: bool) -> None:
    if form is HARMONY and not has_control:
        pytest.skip("its channels are control tokens in every vocabulary")
    words = vocabulary(form, has_control)
    before, said = "", "It is <b>warm</b> {there}.\n"
    if form is HARMONY:
        before = "<|channel|>final<|message|>"
    if form.prime == ">>>":
        before = "all\n"
    auto = grammar_of(Wanted(form, None, False, TOOLS), words.control)
    assert words.takes(auto, before + said)
    none = grammar_of(Wanted(form, None, False, TOOLS, ToolChoice(ToolMode.NONE)), words.control)
    assert not words.takes(none, text_of(form, CALLS[1]))
    if form.prime != ">>>":
        assert words.takes(none, before + said)
    if not form.is_first and not form.prime:
        assert words.takes(auto, said + text_of(form, CALLS[1]))


THINK = ReasoningPair("<think>\n", "\n</think>\n\n")
HERMES_CALL = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'


@pytest.mark.parametrize("names", [(), ("<think>", "</think>"), ("<tool_call>", "</tool_call>")], ids=str)
def test_reasoning_comes_before_what_is_asked_for(names: tuple[str, ...]) -> None:
    words = Bytes(names)
    thought = "<think>\nShall I <tool_call> or {not}?\n</think>\n\n"
    for choice in (REQUIRED, ToolChoice()):
        grammar = grammar_of(Wanted(HERMES, THINK, False, TOOLS, choice), words.control)
        if "<tool_call>" not in names:  # a control token is not for reasoning
            assert words.takes(grammar, thought + HERMES_CALL)
            assert words.takes(grammar, f"\n{thought}{HERMES_CALL}")
        assert words.takes(grammar, HERMES_CALL)
        assert not words.takes(grammar, "<think>\nhm\n</think>\n\n<tool_call>\nso</tool_call>")
        opened = grammar_of(Wanted(HERMES, THINK, True, TOOLS, choice), words.control)
        assert words.takes(opened, f"hm\n</think>\n\n{HERMES_CALL}")
        assert words.takes(opened, "still thinking") == (choice is not REQUIRED)
    auto = grammar_of(Wanted(HERMES, THINK, False, TOOLS), words.control)
    assert words.takes(auto, "<think>\nhm\n</think>\n\nIt is late.")
    assert words.takes(auto, "It is late.")
    wanted = ResponseFormat(FormatKind.JSON_OBJECT)
    json_only = grammar_of(Wanted(HERMES, THINK, False, (), response_format=wanted), words.control)
    assert words.takes(json_only, '<think>\nhm\n</think>\n\n{"a": [1, {}]}')
    assert words.takes(json_only, '{"a": 1}')
    assert not words.takes(json_only, "<think>\nhm\n</think>\n\nno JSON")
    either = grammar_of(Wanted(HERMES, THINK, False, TOOLS, response_format=wanted), words.control)
    assert words.takes(either, HERMES_CALL)
    assert words.takes(either, '{"a": 1}')
    assert not words.takes(either, "text")


def test_a_call_that_must_be_first_may_be_text_elsewhere() -> None:
    words = Bytes()
    call = '{"name": "now", "parameters": {}}'
    grammar = grammar_of(Wanted(UNIQUE["llama3_json"], None, False, TOOLS), words.control)
    for text in (call, f"\n{call}", f"So: {call}", '{"answer": 1}', '{"name'):
        assert words.takes(grammar, text), text
    assert not words.takes(grammar, '{"name": "other", "parameters": {}}')
