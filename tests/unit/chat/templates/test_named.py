"""Templates that ship."""

from __future__ import annotations

import pytest

from cluster.api.errors import UsageError
from cluster.chat.messages import Message
from cluster.chat.templates.named import named_template, template_names
from tests.unit.chat.templates.vocabularies import ASSISTANT, SYSTEM, USER, ask, templates

TURNS = (
    Message(SYSTEM, "Be kind."),
    Message(USER, "Hi"),
    Message(ASSISTANT, "Hello"),
    Message(USER, "More"),
)
# What a conversation of four turns becomes, as the makers of the models show it.
WANTED = {
    "alpaca": (
        "Be kind.\n\n### Instruction:\nHi\n\n### Response:\nHello</s>\n\n### Instruction:\nMore\n\n### Response:\n"
    ),
    "chatml": (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nMore<|im_end|>\n<|im_start|>assistant\n"
    ),
    "deepseek": ("<s>Be kind.<｜User｜>Hi<｜Assistant｜>Hello<｜end▁of▁sentence｜><｜User｜>More<｜Assistant｜>"),  # noqa: RUF001
    "gemma": (
        "<s><start_of_turn>user\nBe kind.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello<end_of_turn>\n"
        "<start_of_turn>user\nMore<end_of_turn>\n<start_of_turn>model\n"
    ),
    "llama2": ("<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHi [/INST] Hello </s><s>[INST] More [/INST]"),
    "llama3": (
        "<s><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nMore<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "mistral": "<s>[INST] Hi [/INST] Hello</s>[INST] Be kind.\n\nMore [/INST]",
    "phi3": (
        "<|system|>\nBe kind.<|end|>\n<|user|>\nHi<|end|>\n"
        "<|assistant|>\nHello<|end|>\n<|user|>\nMore<|end|>\n<|assistant|>\n"
    ),
    "phi4": (
        "<|im_start|>system<|im_sep|>Be kind.<|im_end|><|im_start|>user<|im_sep|>Hi<|im_end|>"
        "<|im_start|>assistant<|im_sep|>Hello<|im_end|><|im_start|>user<|im_sep|>More<|im_end|>"
        "<|im_start|>assistant<|im_sep|>"
    ),
    "qwen": (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nMore<|im_end|>\n<|im_start|>assistant\n"
    ),
    "vicuna": "Be kind.\n\nUSER: Hi\nASSISTANT: Hello</s>\nUSER: More\nASSISTANT:",
    "zephyr": (
        "<|system|>\nBe kind.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello</s>\n<|user|>\nMore</s>\n<|assistant|>\n"
    ),
}


def test_every_template_is_shown_here() -> None:
    assert tuple(WANTED) == template_names()


@pytest.mark.parametrize("name", WANTED)
def test_what_templates_write(name: str) -> None:
    with templates("unused", override=named_template(name)) as found:
        rendered = found.render(ask(*TURNS))
    assert rendered.text == WANTED[name]
    assert rendered.add_special == (not rendered.text.startswith("<s>"))


def test_a_name_that_is_none() -> None:
    with pytest.raises(UsageError, match="chat-template: chatmi: no such template ships; did you mean chatml"):
        named_template("chatmi")
    with pytest.raises(UsageError, match="give the path of a file, or one of alpaca, chatml"):
        named_template("../secret")
