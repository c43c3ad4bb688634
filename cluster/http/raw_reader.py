"""Events of a prompt that is no chat: what is drawn is content, token by token."""

from __future__ import annotations

from cluster.api.results import Timings, TokenEvent
from cluster.chat.events import ChatEvent, Content, End, Logprobs, PromptProgress, Started, TokenLogprob


class RawReader:
    """Reads one choice. All content has the tokens that it is of, with their log probabilities."""

    def __init__(self, choice: int, echo: str = "") -> None:
        """`echo`: the text of the prompt, where that is to come first."""
        self._choice = choice
        self._echo = echo
        self._has_started = False

    def push(self, event: TokenEvent) -> list[ChatEvent]:
        """What an event of the cluster is."""
        found = self._prompt(event)
        if event.token is not None or event.text:
            drawn: Logprobs = ()
            if event.token is not None and event.logprob is not None:
                drawn = (TokenLogprob(event.token, event.logprob, event.top),)
            found.append(Content(self._choice, event.text, drawn))
        if event.finish_reason is not None:
            assert event.timings is not None, "the last event has them"
            found.append(End(self._choice, event.finish_reason, event.timings, stop_string=event.stop_string))
        return found

    def _prompt(self, event: TokenEvent) -> list[ChatEvent]:
        counts = event.prompt
        if event.token is None and event.finish_reason is None:
            if counts is None or self._has_started:
                return []
            return [PromptProgress(self._choice, counts.num_computed, counts.num_prompt_tokens)]
        if self._has_started:
            return []
        self._has_started = True
        known = counts or event.timings or Timings()
        started = Started(self._choice, known.num_prompt_tokens, known.num_cached_tokens)
        if not self._echo:
            return [started]
        logprobs = tuple(
            TokenLogprob(one.token, one.logprob or 0.0, one.top, is_first=one.logprob is None)
            for one in event.prompt_logprobs
        )
        return [started, Content(self._choice, self._echo, logprobs)]
