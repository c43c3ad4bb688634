"""A request becomes a prompt with parameters for each choice, and readers that know what the prompt has opened."""

from __future__ import annotations

from cluster.api.model import ModelInfo, TokenKind, VocabularyTable
from cluster.api.results import FinishReason, Timings, TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.chat.answer import Answer
from cluster.chat.messages import ChatRequest, Message, Role
from cluster.chat.model import ChatModel
from tests.fakes.templates import FakeTemplates

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
