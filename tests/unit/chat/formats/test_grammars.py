"""Every family's grammar takes what the family writes, and no other name, argument or order."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cluster.chat.formats.format import ToolFormat
from cluster.chat.formats.grammars.answer import Wanted, grammar_of
from cluster.chat.formats.spelling import spelled
from cluster.chat.formats.table import FORMATS, HARMONY
from cluster.chat.messages import Tool, ToolCall, ToolChoice, ToolMode
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
