"""Events of a prompt that is no chat: what is drawn is content, token by token."""

from __future__ import annotations

from cluster.api.results import Timings, TokenEvent
from cluster.chat.events import ChatEvent, Content, End, Logprobs, PromptProgress, Started, TokenLogprob


class RawReader:
    """Reads one choice. All content has the tokens that it is of, with their log probabilities."""

    def __init__(self, choice: int) -> None:
        self._choice = choice
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
            found.append(
                End(self._choice, event.finish_reason, event.timings, stop_string=getattr(event, "stop_string", None))
            )
        return found

    def _prompt(self, event: TokenEvent) -> list[ChatEvent]:
        counts = getattr(event, "prompt", None)
        if event.token is None and event.finish_reason is None:
            if counts is None or self._has_started:
                return []
            return [PromptProgress(self._choice, counts.num_computed, counts.num_prompt_tokens)]
        if self._has_started:
            return []
        self._has_started = True
        if counts is not None:
            return [Started(self._choice, counts.num_prompt_tokens, counts.num_cached_tokens)]
        timings = event.timings or Timings()
        return [Started(self._choice, timings.num_prompt_tokens, timings.num_cached_tokens)]
