"""A request becomes a prompt with parameters for each choice, and readers that know what the prompt has opened."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest

from cluster.api.errors import UsageError
from cluster.api.model import ModelInfo, TokenKind, VocabularyTable
from cluster.api.results import FinishReason, Timings, TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.chat.answer import Answer
from cluster.chat.messages import (
    ChatRequest,
    FormatKind,
    Message,
    ResponseFormat,
    Role,
    Tool,
    ToolChoice,
    ToolMode,
)
from cluster.chat.model import ChatModel
from tests.fakes.templates import FakeTemplates
from tests.unit.chat.formats.matching import Bytes

NAMES = ("<think>", "</think>", "<|im_end|>")
VOCABULARY = VocabularyTable(
    (*(bytes([value]) for value in range(256)), *(name.encode() for name in NAMES)),
    (*[TokenKind.NORMAL] * 256, *[TokenKind.CONTROL] * len(NAMES)),
)
INFO = ModelInfo(
    name="m",
    hash="h",
    architecture="llama",
    context_length=100,
    context_length_train=100,
    hidden_width=8,
    vocab_size=259,
    vocab_type=2,
    num_parameters=1,
    size_bytes=1,
    file_type="",
    bos=None,
    eos=258,
    end_tokens=(258,),
    add_bos=False,
)
HELLO = (Message(Role.USER, "hello"),)


def answer_of(model: ChatModel, request: ChatRequest, text: str) -> Answer:
    reader = model.prepare(request).reader(0)
    answer = Answer()
    events = [TokenEvent(ord(letter) % 256, letter) for letter in text]
    for event in (*events, TokenEvent(None, "", finish_reason=FinishReason.STOP, timings=Timings())):
        for made in reader.push(event):
            answer.add(made)
    return answer


def test_the_prompt_is_the_template_s() -> None:
    turn = ChatModel(INFO, VOCABULARY, FakeTemplates()).prepare(ChatRequest(HELLO, SamplingParams(top_k=3)))
    assert turn.text == "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    assert turn.params == (SamplingParams(top_k=3),)
    assert turn.warnings == ()


def test_choices_have_seeds_that_follow_each_other() -> None:
    model = ChatModel(INFO, VOCABULARY, FakeTemplates())
    turn = model.prepare(ChatRequest(HELLO, SamplingParams(seed=2**63 - 1), num_choices=3))
    assert [params.seed for params in turn.params] == [2**63 - 1, 0, 1]
    unseeded = model.prepare(ChatRequest(HELLO, SamplingParams(), num_choices=2))
    assert [params.seed for params in unseeded.params] == [None, None]


def test_marks_of_reasoning_that_are_control_tokens_are_shown() -> None:
    model = ChatModel(INFO, VOCABULARY, FakeTemplates("{{ '<think>' }} ... </think>"))
    assert model.prepare(ChatRequest(HELLO)).params[0].shown_tokens == (256, 257)
    assert model.facts["reasoning"] == "<think></think>"
    answer = answer_of(model, ChatRequest(HELLO), "<think>\nwhy\n</think>\n\nso")
    assert (answer.reasoning, answer.content) == ("why", "so")


def test_a_prompt_may_have_opened_the_reasoning() -> None:
    model = ChatModel(INFO, VOCABULARY, FakeTemplates("</think>", tail="<think>\n"))
    answer = answer_of(model, ChatRequest(HELLO), "why\n</think>\n\nso")
    assert (answer.reasoning, answer.content) == ("why", "so")


def test_a_model_without_reasoning_has_none() -> None:
    model = ChatModel(INFO, VOCABULARY, FakeTemplates("plain"))
    answer = answer_of(model, ChatRequest(HELLO), "<think>x</think>")
    assert (answer.reasoning, answer.content) == ("", "<think>x</think>")
    assert model.facts["reasoning"] is None


def test_closing_ends_the_templates() -> None:
    templates = FakeTemplates()
    ChatModel(INFO, VOCABULARY, templates).close()
    assert templates.is_closed


WEATHER = Tool("weather", "of a city", {"type": "object", "properties": {"city": {"type": "string"}}})
TOOLS = (WEATHER, Tool("now"))


def test_a_family_that_is_not_known_is_told_how_to_call() -> None:
    model = ChatModel(INFO, VOCABULARY, FakeTemplates())
    assert model.facts["tool_format"] == "fallback"
    turn = model.prepare(ChatRequest(HELLO, tools=TOOLS))
    assert '{"name": "weather", "description": "of a city"' in turn.text
    assert "<tool_call>" in turn.text
    request = ChatRequest(HELLO, tools=TOOLS)
    answer = answer_of(
        model, request, 'Hm.\n<tool_call>\n{"name": "weather", "arguments": {"city": "x"}}\n</tool_call>'
    )
    (found,) = answer.tool_calls
    assert (answer.content, found.name, found.arguments) == ("Hm.", "weather", '{"city": "x"}')
    assert found.id.startswith("call_")
    assert len(found.id) == 29


def test_tools_that_may_not_be_called_are_not_shown_and_not_found() -> None:
    model = ChatModel(INFO, VOCABULARY, FakeTemplates())
    request = ChatRequest(HELLO, tools=TOOLS, tool_choice=ToolChoice(ToolMode.NONE))
    assert "weather" not in model.prepare(request).text
    assert "<tool_call>" in model.prepare(request).params[0].grammar
    assert answer_of(model, request, "<tool_call>").content == "<tool_call>"


def test_where_tools_may_be_called_stop_strings_are_looked_for_here() -> None:
    model = ChatModel(INFO, VOCABULARY, FakeTemplates())
    params = SamplingParams(stop=("!",))
    assert model.prepare(ChatRequest(HELLO, params)).params[0].stop == ("!",)
    request = ChatRequest(HELLO, params, TOOLS)
    assert model.prepare(request).params[0].stop == ()
    answer = answer_of(model, request, "so! what")
    assert (answer.content, answer.stop_string) == ("so", "!")


def test_a_schema_is_enforced_and_told() -> None:
    model = ChatModel(INFO, VOCABULARY, FakeTemplates("<think>{{ x }}</think>"))
    wanted = ResponseFormat(FormatKind.JSON_SCHEMA, {"type": "object", "properties": {"a": {"type": "integer"}}})
    turn = model.prepare(ChatRequest(HELLO, response_format=wanted))
    assert '"a": {"type": "integer"}' in turn.text
    assert "%json" in turn.params[0].grammar
    assert "<[257]>" in turn.params[0].grammar


def test_what_of_a_schema_is_not_enforced_is_a_warning_or_an_error() -> None:
    model = ChatModel(INFO, VOCABULARY, FakeTemplates())
    schema = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    loose = ResponseFormat(FormatKind.JSON_SCHEMA, schema)
    assert any("uniqueItems" in one for one in model.prepare(ChatRequest(HELLO, response_format=loose)).warnings)
    with pytest.raises(UsageError, match=r"^response_format: .*uniqueItems"):
        model.prepare(ChatRequest(HELLO, response_format=replace(loose, strict=True)))
    tool = Tool("f", parameters={"type": "object", "properties": {"a": schema}})
    assert any("uniqueItems" in one for one in model.prepare(ChatRequest(HELLO, tools=(tool,))).warnings)
    with pytest.raises(UsageError, match=r"^tools: "):
        model.prepare(ChatRequest(HELLO, tools=(replace(tool, strict=True),)))


def test_a_grammar_of_the_caller_comes_behind_the_reasoning() -> None:
    wanted = ResponseFormat(FormatKind.GRAMMAR, grammar="start: /[ab]{3}/")
    plain = ChatModel(INFO, VOCABULARY, FakeTemplates()).prepare(ChatRequest(HELLO, response_format=wanted))
    assert plain.params[0].grammar == wanted.grammar
    templates = FakeTemplates("</think>", tail="<think>\n")
    grammar = (
        ChatModel(INFO, VOCABULARY, templates).prepare(ChatRequest(HELLO, response_format=wanted)).params[0].grammar
    )
    words = Bytes(NAMES[:2])
    grammar = grammar.replace("<[257]>", "<[258]>")  # END is the first of these
    assert words.takes(grammar, "why\n</think>\n\naba")
    assert not words.takes(grammar, "why\n</think>\n\nabac")
    assert not words.takes(grammar, "aba")
    with pytest.raises(UsageError, match=r"^tools: "):
        ChatModel(INFO, VOCABULARY, FakeTemplates()).prepare(ChatRequest(HELLO, tools=TOOLS, response_format=wanted))


CHANNELS = ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|call|>", "<|return|>")
HARMONY = """
{%- for message in messages %}{% if message.tool_calls %}
{%- for call in message.tool_calls -%}
<|start|>assistant to=functions.{{ call.function.name }}<|channel|>commentary json<|message|>
{{- call.function.arguments | tojson }}<|call|>
{%- endfor %}{% else %}<|start|>{{ message.role }}<|message|>{{ message.content }}<|end|>{% endif %}
{%- endfor %}{% if tools %}<|channel|>{{ tools | tojson }}{% endif %}
{%- if add_generation_prompt %}<|start|>assistant{% endif %}"""


def test_channels_are_read_with_or_without_tools() -> None:
    vocabulary = VocabularyTable(
        (*VOCABULARY.pieces, *(name.encode() for name in CHANNELS)),
        (*VOCABULARY.kinds, *[TokenKind.CONTROL] * len(CHANNELS)),
    )
    info = replace(INFO, chat_templates={"": HARMONY}, end_tokens=(263, 264))
    model = ChatModel.of(info, vocabulary)
    try:
        assert model.facts["tool_format"] == "harmony"
        plain, with_tools = ChatRequest(HELLO), ChatRequest(HELLO, tools=TOOLS)
        for request in (plain, with_tools):
            assert model.prepare(request).params[0].shown_tokens == (259, 260, 261, 262)
            text = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>so"
            answer = answer_of(model, request, text)
            assert (answer.reasoning, answer.content) == ("hm", "so")
        call = '<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "x"}'
        answer = answer_of(model, with_tools, f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant{call}")
        assert [(one.name, one.arguments) for one in answer.tool_calls] == [("weather", '{"city": "x"}')]
    finally:
        model.close()


def test_a_template_that_is_of_no_use_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^chat: .*--chat-template"):
        ChatModel.of(replace(INFO, chat_templates={"": "{% if"}), VOCABULARY)


def test_an_answer_that_goes_on_may_be_in_its_reasoning() -> None:
    model = ChatModel(INFO, VOCABULARY, FakeTemplates("</think>"))
    for content, expected in (("<think>\nwell", ("and", "so")), ("fine", ("", "and\n</think>\n\nso"))):
        messages = (Message(Role.USER, "<think>"), Message(Role.ASSISTANT, content))
        request = ChatRequest(messages, add_generation_prompt=False, continue_final_message=True)
        answer = answer_of(model, request, "and\n</think>\n\nso")
        assert (answer.reasoning, answer.content) == expected


@pytest.mark.parametrize(
    ("content", "prefix"),
    [('{"city": "Pa', '{"city": "Pa'), ('<think>\nwell\n</think>\n\n{"ci', '{"ci'), ("<think>\nwell", ""), ("", "")],
)
def test_an_answer_of_a_wanted_format_goes_on_from_what_it_has_of_it(content: str, prefix: str) -> None:
    model = ChatModel(INFO, VOCABULARY, FakeTemplates("</think>"))
    wanted = ResponseFormat(FormatKind.JSON_SCHEMA, WEATHER.parameters)
    request = ChatRequest((*HELLO, Message(Role.ASSISTANT, content)), response_format=wanted)
    request = replace(request, add_generation_prompt=False, continue_final_message=True)
    (params,) = model.prepare(request).params
    assert params.grammar_prefix == prefix
    assert ("<[257]>" in params.grammar) == (content == "<think>\nwell")  # what ends the reasoning


def test_an_answer_that_goes_on_beside_tools_has_no_wanted_format() -> None:
    model = ChatModel(INFO, VOCABULARY, FakeTemplates())
    wanted = ResponseFormat(FormatKind.JSON_OBJECT)
    request = ChatRequest((*HELLO, Message(Role.ASSISTANT, "{")), tools=TOOLS, response_format=wanted)
    request = replace(request, add_generation_prompt=False, continue_final_message=True)
    with pytest.raises(UsageError, match=r"continue_final_message: .* beside tools; begin a new one"):
        model.prepare(request)


@pytest.mark.parametrize(
    ("content", "is_in_call"),
    [
        ("I look.", False),
        ("a < b", False),
        ('<tool_call>\n{"name": "weather", "arguments": {"ci', True),
        ('<tool_call>\n{"name": "weather", "arguments": {"city": "x"}}\n</tool_call>\nand', False),
    ],
)
def test_an_answer_does_not_go_on_within_a_call(content: str, is_in_call: bool) -> None:
    model = ChatModel(INFO, VOCABULARY, FakeTemplates())
    request = ChatRequest((*HELLO, Message(Role.ASSISTANT, content)), tools=TOOLS)
    request = replace(request, add_generation_prompt=False, continue_final_message=True)
    with pytest.raises(UsageError, match=r"messages: .* has begun a call") if is_in_call else nullcontext():
        model.prepare(request)
    assert model.prepare(replace(request, tools=())).params[0].grammar == ""
