"""Prompts of families of templates: nothing that was said is lost, and each gets it in the form that it takes."""

from __future__ import annotations

import json

import pytest

from cluster.api.errors import UsageError
from cluster.api.prompt import Segment
from cluster.chat.messages import FormatKind, Message, ResponseFormat, ToolCall
from tests.unit.chat.templates import families
from tests.unit.chat.templates.vocabularies import (
    ASSISTANT,
    CALLED,
    SYSTEM,
    USER,
    WEATHER,
    ask,
    templates,
    user,
)


def text_of(source: str, *messages: Message, tools_text: str = "", **fields: object) -> str:
    with templates(source) as found:
        return found.render(ask(*messages, **fields), tools_text).text


def test_a_prompt_is_one_segment_whose_end_waits_for_the_answer() -> None:
    with templates(families.CHATML) as found:
        rendered = found.render(ask(Message(SYSTEM, "Be kind."), Message(USER, "Hi <b> & so on\n")))
    wanted = (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi <b> & so on\n<|im_end|>\n<|im_start|>assistant\n"
    )
    assert rendered.segments == (Segment(wanted, parse_special=True),)
    assert (rendered.text, rendered.add_special) == (wanted, True)
    assert rendered.open_tail == "<|im_start|>assistant\n"


def test_a_template_that_begins_with_bos_gets_no_second_one() -> None:
    with templates(families.LLAMA3) as found:
        rendered = found.render(user("Hi"))
    assert rendered.text.startswith("<s><|start_header_id|>user")
    assert not rendered.add_special


def test_a_user_who_writes_bos_has_not_begun_the_text() -> None:
    with templates("{% for m in messages %}{{ m.content }}{% endfor %}") as found:
        rendered = found.render(user("<s>"))
    assert rendered.segments == (Segment("<", True), Segment("s>", True))


@pytest.mark.parametrize(
    ("family", "wanted"),
    [
        (families.QWEN, '<tool_call>\n{"name": "weather", "arguments": {"city": "Ulm"}}\n</tool_call>'),
        (families.LLAMA3, '{"name": "weather", "parameters": {"city": "Ulm"}}'),
        (families.MISTRAL, '[TOOL_CALLS][{"name": "weather", "arguments": {"city": "Ulm"}, "id": "'),
        (families.DEEPSEEK, '<Call>weather\n```json\n{"city": "Ulm"}\n```<Output>none'),
        (families.KIMI, '<|call|>functions.weather:0<|args|>{"city": "Ulm"}'),
        (families.HARMONY, 'to=functions.weather<|message|>{"city": "Ulm"}<|call|>'),
    ],
)
def test_calls_and_their_results(family: str, wanted: str) -> None:
    text = text_of(family, *CALLED, tools=(WEATHER,))
    assert wanted in text
    assert "none" in text.partition(wanted)[2] or "none" in wanted


def test_ids_are_the_same_in_call_and_result() -> None:
    text = text_of(families.MISTRAL, *CALLED)
    call_id = text.partition('"id": "')[2][:9]
    assert call_id.isalnum()
    assert f'"call_id": "{call_id}"' in text
    nine = Message(ASSISTANT, "", tool_calls=(ToolCall("abcdef123", "weather", "{}"),))
    assert '"id": "abcdef123"' in text_of(families.MISTRAL, CALLED[0], nine)


def test_instructions_where_there_are_none() -> None:
    turns = (Message(SYSTEM, "Be kind."), Message(USER, "Hi"))
    assert "<start_of_turn>user\nBe kind.\n\nHi<end_of_turn>" in text_of(families.GEMMA, *turns)
    assert "<start_of_turn>user\nBe kind.<end_of_turn>" in text_of(families.GEMMA, turns[0])


def test_instructions_in_the_middle() -> None:
    turns = (
        Message(SYSTEM, "One."),
        Message(SYSTEM, "Two."),
        Message(USER, "Hi"),
        Message(ASSISTANT, "Yes"),
        Message(SYSTEM, "Three."),
        Message(USER, "More"),
        Message(SYSTEM, "Four."),
    )
    text = text_of(families.MISTRAL, *turns)
    assert "[SYSTEM_PROMPT]One.\n\nTwo.[/SYSTEM_PROMPT][INST] Hi[/INST]Yes</s>" in text
    assert text.endswith("[INST] Three.\n\nMore\n\nFour.[/INST]")
    assert text_of(families.CHATML, *turns).count("<|im_start|>system") == 4  # it takes them where they are


def test_users_in_a_row() -> None:
    assert "[INST] One\n\nTwo[/INST]" in text_of(families.MISTRAL, Message(USER, "One"), Message(USER, "Two"))


def test_tools_for_a_template_that_takes_none() -> None:
    text = text_of(families.GEMMA, Message(USER, "Hi"), tools=(WEATHER,), tools_text="You have tools.")
    assert "<start_of_turn>user\nYou have tools.\n\nHi<end_of_turn>" in text
    system = Message(SYSTEM, "Be kind.")
    text = text_of(families.CHATML, system, Message(USER, "Hi"), tools=(WEATHER,), tools_text="You have tools.")
    assert "<|im_start|>system\nBe kind.\n\nYou have tools.<|im_end|>" in text


def test_tools_are_in_openais_shape() -> None:
    text = text_of(families.QWEN, Message(USER, "Hi"), tools=(WEATHER,))
    shown = json.loads(text.partition("<tools>\n")[2].partition("\n</tools>")[0])
    function = {"name": WEATHER.name, "description": WEATHER.description, "parameters": WEATHER.parameters}
    assert shown == {"type": "function", "function": function}


def test_requests_with_tools_have_a_template_of_their_own() -> None:
    source = {"": families.CHATML, "tool_use": families.LLAMA3}
    with templates(source) as found:
        assert found.render(user("Hi")).text.startswith("<|im_start|>")
        assert found.render(ask(Message(USER, "Hi"), tools=(WEATHER,))).text.startswith("<s><|start_header")
        assert found.traits.takes_tools


def test_reasoning_of_earlier_answers_is_the_templates_to_keep() -> None:
    turns = (Message(USER, "Hi"), Message(ASSISTANT, "<think>\nhm\n</think>\n\nYes"))
    assert "<think>\nhm\n</think>\n\nYes" in text_of(families.QWEN, *turns, add_generation_prompt=False)
    text = text_of(families.QWEN, *turns, Message(USER, "More"))
    assert "hm" not in text
    assert "<|im_start|>assistant\nYes<|im_end|>" in text


def test_reasoning_before_a_call_where_content_may_not_be() -> None:
    call = CALLED[1].tool_calls
    text = text_of(families.HARMONY, CALLED[0], Message(ASSISTANT, "Look:", "hm", call), CALLED[2])
    assert "analysis<|message|>hm\n\nLook:<|end|>" in text


def test_arguments_that_are_no_object_stand_in_one() -> None:
    wrong = Message(ASSISTANT, "", tool_calls=(ToolCall("1", "weather", '{"city": '),))
    assert '"parameters": {"arguments": "{\\"city\\": "}' in text_of(families.LLAMA3, CALLED[0], wrong)
    empty = Message(ASSISTANT, "", tool_calls=(ToolCall("1", "weather", ""),))
    assert '"parameters": {}' in text_of(families.LLAMA3, CALLED[0], empty)


def test_content_in_parts() -> None:
    assert text_of(families.PARTS, Message(USER, "Hi"), Message(ASSISTANT, "Yes")) == "user: Hi\nassistant: Yes\n"


def test_an_answer_goes_on() -> None:
    turns = (Message(USER, "Hi"), Message(ASSISTANT, "Once upon a "))
    with templates(families.CHATML) as found:
        rendered = found.render(ask(*turns, continue_final_message=True))
        assert rendered.text.endswith("<|im_start|>assistant\nOnce upon a ")
        with pytest.raises(UsageError, match="continue_final_message: the last message is no answer"):
            found.render(ask(turns[0], continue_final_message=True))
    with (
        templates("{{ messages[0].content }}") as found,
        pytest.raises(UsageError, match="continue_final_message: the chat template leaves the last message out"),
    ):
        found.render(ask(*turns, continue_final_message=True))


def test_arguments_of_the_request_for_the_template() -> None:
    arguments = {"enable_thinking": False, "documents": [{"title": "x"}]}
    text = text_of(families.QWEN, Message(USER, "Hi"), template_arguments=arguments)
    assert text.endswith("<think>\n\n</think>\n\n")
    for name in ("messages", "bos_token"):
        with pytest.raises(UsageError, match=f"chat_template_kwargs: {name} is not for it"):
            text_of(families.QWEN, Message(USER, "Hi"), template_arguments={name: "x"})
    with pytest.raises(UsageError, match="type bytes has no form in JSON"):
        text_of(families.QWEN, Message(USER, "Hi"), template_arguments={"x": b""})


def test_a_schema_for_a_template_that_takes_one() -> None:
    source = "{{ messages[0].content + (response_format|tojson if response_format else '') }}"
    schema = ResponseFormat(FormatKind.JSON_SCHEMA, {"type": "object"}, "name")
    wanted = {"type": "json_schema", "json_schema": {"name": "name", "schema": {"type": "object"}}}
    assert text_of(source, Message(USER, "Hi"), response_format=schema) == "Hi" + json.dumps(wanted)


def test_the_end_opens_reasoning_only_if_the_template_does() -> None:
    with templates(families.DEEPSEEK) as found:
        assert found.render(user("what is <think>")).open_tail == "<Assistant><think>\n"
    with templates(families.CHATML) as found:
        assert "<think>" not in found.render(user("<think>")).open_tail


def test_a_template_that_refuses() -> None:
    with templates(families.LLAMA3) as found:
        calls = (*CALLED[1].tool_calls, *CALLED[1].tool_calls)
        with pytest.raises(UsageError, match="messages: the model's chat template refuses them: one call at a time;"):
            found.render(ask(CALLED[0], Message(ASSISTANT, "", tool_calls=calls)))
        assert found.render(user("Hi")).text
    with (
        templates("{{ messages[0].content + 1 }}") as found,
        pytest.raises(UsageError, match="cannot render them: Type"),
    ):
        found.render(user("Hi"))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{% if %}", "TemplateSyntaxError: Expected an expression"),
        ("{{ " + "(" * 5000 + ")" * 5000 + " }}", ""),
        ("{{ 'a' * 999999999999 }}", ""),
        ("x" * (1 << 21), "it is longer than 1048576 characters"),
    ],
)
def test_a_template_that_cannot_be_used(source: str, why: str) -> None:
    with templates(source) as found:
        if not why:  # it fails at once or when it is used
            with pytest.raises(UsageError, match="messages: "):
                found.render(user("Hi"))
            return
        assert found.traits.failure.startswith(why)
        with pytest.raises(UsageError, match="messages: this model's chat template cannot be used: "):
            found.render(user("Hi"))


def test_known_mistakes_of_templates_are_corrected() -> None:
    empty = (
        "{%- if (message['content'] is none or message['content'] == '' or message['content']|length == 0) and "
        "(message['tool_calls'] is not defined or message['tool_calls'] is none or "
        "message['tool_calls']|length == 0) %}{{ raise_exception('empty') }}{% endif %}"
    )
    source = f"{{# [TOOL_CALLS] #}}{{% for message in messages %}}{empty}{{{{ message.content }}}}{{% endfor %}}"
    assert text_of(source, Message(USER, "Hi"), Message(ASSISTANT, ""), Message(USER, "x")) == "Hix"


def test_values_nested_without_end() -> None:
    nested: list[object] = []
    for _ in range(5000):
        nested = [nested]
    with templates(families.QWEN) as found:
        with pytest.raises(UsageError, match="nested too deeply"):
            found.render(ask(Message(USER, "Hi"), template_arguments={"x": nested}))
        assert found.render(user("Hi")).text
