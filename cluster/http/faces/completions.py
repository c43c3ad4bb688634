"""POST /v1/completions, the API for prompts that are no chats."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from cluster.api.model import TokenKind
from cluster.chat.events import ChatEvent, Content, End, Failed, Started, TokenLogprob
from cluster.http.faces.chat_events import FINGERPRINT
from cluster.http.faces.envelopes import openai_error
from cluster.http.faces.face import Asked, Body, Problem, RawRequest, Served
from cluster.http.faces.fields import Fields
from cluster.http.faces.grammars import grammar_of
from cluster.http.faces.params import num_choices_of, num_top_of, params_of
from cluster.http.faces.problems import problem_of
from cluster.http.faces.prompts import prompts_of
from cluster.http.faces.spelling import DONE, PING, SSE, unnamed
from cluster.http.faces.usage import longest, timings, usage
from cluster.http.limits import MAX_CHOICES

MAX_TOP = 20
MAX_TOKENS = 16  # OpenAI's default


class Completions:
    """OpenAI's legacy API, with llama-server's and vLLM's further fields."""

    def parse(self, body: Body, served: Served, request_id: str) -> Asked:
        fields = Fields(body)
        fields.skip("model")
        prompts = prompts_of(fields)
        num_choices = num_choices_of(fields, served.num_slots)
        if len(prompts) * num_choices > MAX_CHOICES:
            raise fields.wrong("n", f"{len(prompts) * num_choices} choices in all; give at most {MAX_CHOICES}")
        if fields.whole("best_of", num_choices) not in (1, num_choices):
            raise fields.wrong("best_of", "no more are computed than are answered; give n, or leave it out")
        if fields.text("suffix"):
            raise fields.wrong("suffix", "filling in the middle is not served; leave it out")
        has_logprobs = fields.any("logprobs") not in (None, False)
        num_top = (
            0 if fields.any("logprobs") is True else num_top_of(fields, "logprobs", MAX_TOP) if has_logprobs else 0
        )
        is_echo, is_streamed = fields.flag("echo"), fields.flag("stream")
        params = params_of(
            fields,
            limits=("max_tokens", "n_predict"),
            max_tokens=MAX_TOKENS,
            num_top=num_top,
            grammar=grammar_of(fields),
        )
        if is_echo and has_logprobs:
            params = replace(params, prompt_logprobs=num_top)
        options = fields.inner("stream_options")
        encoder = CompletionsEncoder(
            served,
            f"cmpl-{request_id}",
            num_choices,
            len(prompts),
            has_logprobs,
            served.settings.always_include_usage or (options is not None and options.flag("include_usage")),
        )
        return Asked(RawRequest(prompts, params, num_choices, is_echo), is_streamed, encoder, fields.unread())

    def error(self, problem: Problem) -> Body:
        return openai_error(problem)


@dataclass(slots=True)
class _Choice:
    texts: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    num_characters: int = 0  # of the text so far
    started: Started | None = None
    end: End | None = None


@dataclass
class CompletionsEncoder:
    """One request's."""

    served: Served
    id: str
    num_choices: int  # of each prompt
    num_prompts: int
    has_logprobs: bool
    has_usage: bool
    content_type: str = SSE
    created: int = field(default_factory=lambda: int(time.time()))
    _choices: list[_Choice] = field(default_factory=list)
    _has_failed: bool = False

    def __post_init__(self) -> None:
        self._choices = [_Choice() for _ in range(self.num_choices * self.num_prompts)]

    def open(self) -> bytes:
        return b""

    def keep_alive(self) -> bytes:
        return PING

    def push(self, event: ChatEvent) -> bytes:
        choice = self._choices[event.choice]
        match event:
            case Started():
                choice.started = event
            case Content():
                choice.texts.append(event.text)
                choice.logprobs.extend(event.logprobs)
                return self._text(event, choice)
            case End():
                choice.end = event
                chunk = self._choice(event.choice, "", None, self._reason(event))
                return unnamed(self._body([chunk], timings=timings(event.timings)))
            case Failed():
                self._has_failed = True
                return unnamed(openai_error(replace(problem_of(event.error), kind="server_error")))
            case _:
                pass
        return b""

    def close(self) -> bytes:
        if self._has_failed:
            return b""
        if not self.has_usage:
            return DONE
        return unnamed({**self._body([]), "usage": self._usage()}) + DONE

    def whole(self) -> Body:
        choices = []
        for index, choice in enumerate(self._choices):
            assert choice.end is not None, "it has ended"
            logprobs = self._logprobs(choice.logprobs, 0) if self.has_logprobs else None
            choices.append(self._choice(index, "".join(choice.texts), logprobs, self._reason(choice.end)))
        ends = [choice.end.timings for choice in self._choices if choice.end is not None]
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.served.alias,
            "system_fingerprint": FINGERPRINT,
            "choices": choices,
            "usage": self._usage(),
            "timings": timings(longest(ends)),
        }

    def _text(self, event: Content, choice: _Choice) -> bytes:
        offset, choice.num_characters = choice.num_characters, choice.num_characters + len(event.text)
        if not event.text and not (self.has_logprobs and event.logprobs):
            return b""
        logprobs = self._logprobs(event.logprobs, offset) if self.has_logprobs else None
        return unnamed(self._body([self._choice(event.choice, event.text, logprobs, None)]))

    def _body(self, choices: list[Body], **more: Any) -> Body:
        body: dict[str, Any] = {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.served.alias,
            "system_fingerprint": FINGERPRINT,
            "choices": choices,
            **more,
        }
        if self.has_usage:
            body["usage"] = None
        return body

    def _choice(self, index: int, text: str, logprobs: Body | None, reason: str | None) -> Body:
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}

    def _logprobs(self, drawn: list[TokenLogprob] | tuple[TokenLogprob, ...], offset: int) -> Body:
        """The old shape: four lists, and where each token begins in the whole text."""
        pieces, kinds = self.served.vocabulary.pieces, self.served.vocabulary.kinds
        texts = [pieces[one.token].decode(errors="replace") for one in drawn]
        offsets = []
        for one, text in zip(drawn, texts, strict=True):
            offsets.append(offset)
            offset += len(text) if kinds[one.token] is not TokenKind.CONTROL else 0  # of their names there is no text
        return {
            "tokens": texts,
            "token_logprobs": [None if one.is_first else one.logprob for one in drawn],
            "top_logprobs": [
                None
                if one.is_first
                else {pieces[token].decode(errors="replace"): logprob for token, logprob in one.top}
                for one in drawn
            ],
            "text_offset": offsets,
        }

    def _reason(self, end: End) -> str:
        return "length" if end.reason in ("length", "context") else "stop"

    def _usage(self) -> Body:
        """The choices of a prompt share it."""
        firsts = self._choices[:: self.num_choices]
        started = [choice.started for choice in firsts if choice.started is not None]
        ends = [choice.end for choice in self._choices if choice.end is not None]
        return usage(
            sum(one.num_prompt_tokens for one in started),
            sum(one.num_cached_tokens for one in started),
            sum(end.timings.num_tokens for end in ends),
        )
