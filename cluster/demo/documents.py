"""What the model reads: stories and chats as token ids, and which of them it should learn to write."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from cluster.demo.dialogue.chats import Chat, write_chat
from cluster.demo.grammar import write_story
from cluster.demo.tokenizer import IM_END, IM_START, Tokenizer

BARE_CHAT_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Document:
    """``is_learned`` has one entry per id: a chat's system prompt and user are read, but not learned."""

    ids: list[int]
    is_learned: list[bool]


@dataclass(frozen=True, slots=True)
class Mixture:
    """``chat_share`` in [0, 1] is by number of documents; chats have up to ``max_exchanges`` exchanges."""

    chat_share: float = 0.65
    max_exchanges: int = 4


def story_document(tokenizer: Tokenizer, story: str) -> Document:
    """A story alone, between BOS and EOS."""
    ids = [tokenizer.bos_id, *tokenizer.encode(story), tokenizer.eos_id]
    return Document(ids, [True] * len(ids))


def chat_document(tokenizer: Tokenizer, chat: Chat, has_bos: bool = True) -> Document:
    """A chat as the chat template of the GGUF renders it."""
    messages = [("system", chat.system)] if chat.system else []
    for exchange in chat.exchanges:
        messages += [("user", exchange.user), ("assistant", exchange.answer)]
    begin, end = tokenizer.control_id(IM_START), tokenizer.control_id(IM_END)
    ids = [tokenizer.bos_id] if has_bos else []
    is_learned = [False] * len(ids)
    for role, content in messages:
        head, body = [begin, *tokenizer.encode(role + "\n")], [*tokenizer.encode(content), end]
        tail = tokenizer.encode("\n")
        ids += head + body + tail
        is_learned += [False] * len(head) + [role == "assistant"] * len(body) + [False] * len(tail)
    return Document(ids, is_learned)


def documents(tokenizer: Tokenizer, rng: random.Random, mixture: Mixture) -> Iterator[Document]:
    """An endless stream. Some chats lack BOS, for clients that render ChatML without it."""
    while True:
        if rng.random() < mixture.chat_share:
            has_bos = rng.random() >= BARE_CHAT_SHARE
            yield chat_document(tokenizer, write_chat(rng, mixture.max_exchanges), has_bos)
        else:
            yield story_document(tokenizer, write_story(rng))
