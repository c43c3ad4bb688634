"""Messages as one template takes them: which roles, in which order, with what in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cluster.chat.formats.reasoning import ReasoningPair
from cluster.chat.messages import Message, Role
from cluster.chat.templates.traits import TemplateTraits

BETWEEN = "\n\n"  # texts of messages that become one


def fitted(
    messages: Sequence[Message], traits: TemplateTraits, pair: ReasoningPair | None, system_text: str = ""
) -> list[Message]:
    """The messages so that the template loses none of them. `system_text` is for the model's instructions.

    Where it takes no calls, there must be none by then. `pair`: what encloses reasoning in the content of earlier
    answers, as clients send them back.
    """
    turns = [_with_reasoning(message, pair) for message in messages]
    turns = _with_system(turns, system_text)
    if not traits.takes_system_anywhere:
        turns = _first_systems_joined(turns)
        turns = _systems_folded(turns, 1 if traits.takes_system else 0)
    if not traits.takes_users_in_a_row:
        turns = _joined(turns, lambda a, b: a.role is b.role is Role.USER)
    return turns


def _with_reasoning(message: Message, pair: ReasoningPair | None) -> Message:
    """What an answer begins with between the literals is its reasoning: the template decides whether it stays."""
    if pair is None or message.role is not Role.ASSISTANT or message.reasoning:
        return message
    begin, end = pair.open.strip(), pair.close.strip()
    content = message.content.lstrip()
    if not content.startswith(begin) or end not in content:
        return message
    reasoning, _, rest = content.removeprefix(begin).partition(end)
    return replace(message, reasoning=reasoning.strip("\n"), content=rest.lstrip("\n"))


def _with_system(turns: list[Message], text: str) -> list[Message]:
    """With a text behind the first instructions, or as the only ones."""
    if not text:
        return turns
    if turns and turns[0].role is Role.SYSTEM:
        first = replace(turns[0], content=_together(turns[0].content, text))
        return [first, *turns[1:]]
    return [Message(Role.SYSTEM, text), *turns]


def _first_systems_joined(turns: list[Message]) -> list[Message]:
    end = next((place for place, turn in enumerate(turns) if turn.role is not Role.SYSTEM), len(turns))
    return [*_joined(turns[:end], lambda a, b: True), *turns[end:]]


def _systems_folded(turns: list[Message], begin: int) -> list[Message]:
    """Instructions at `begin` and later, in the message of the user behind or before them, or as one."""
    folded = list(turns[:begin])
    pending = ""  # for the next message of the user, if it is the next message
    for turn in turns[begin:]:
        if turn.role is Role.SYSTEM:
            pending = _together(pending, turn.content)
            continue
        if pending and turn.role is Role.USER:
            folded.append(replace(turn, content=_together(pending, turn.content)))
        else:
            _add_pending(folded, pending)
            folded.append(turn)
        pending = ""
    _add_pending(folded, pending)
    return folded


def _add_pending(folded: list[Message], pending: str) -> None:
    if folded and folded[-1].role is Role.USER:
        folded[-1] = replace(folded[-1], content=_together(folded[-1].content, pending))
    elif pending:
        folded.append(Message(Role.USER, pending))


def _joined(turns: Sequence[Message], is_one: Callable[[Message, Message], bool]) -> list[Message]:
    joined: list[Message] = []
    for turn in turns:
        if joined and is_one(joined[-1], turn):
            last = joined[-1]
            content, pictures = _together(last.content, turn.content), last.pictures + turn.pictures
            joined[-1] = replace(last, content=content, pictures=pictures)
        else:
            joined.append(turn)
    return joined


def _together(first: str, second: str) -> str:
    return f"{first}{BETWEEN}{second}" if first and second else first or second
