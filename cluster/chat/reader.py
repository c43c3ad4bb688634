"""From the tokens of one choice to the events of its turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from cluster.api.errors import ClusterError
from cluster.api.results import FinishReason, Timings, TokenEvent
from cluster.chat.events import (
    CallArguments,
    CallBegin,
    CallEnd,
    ChatEvent,
    Content,
    End,
    Failed,
    Logprobs,
    PromptProgress,
    Reasoning,
    Started,
    TokenLogprob,
)
from cluster.chat.formats.part import Part, PartKind
from cluster.chat.formats.splitter import Splitter
from cluster.chat.stopping import StopStrings
from cluster.chat.turn_clock import TurnClock


class TurnReader:
    """Of one choice; not for several threads.

    A token's log probability goes with the text that it began, and with what follows if it gave none. Tokens of
    marks and of calls are counted, and their log probabilities left out.
    """

    def __init__(
        self, choice: int, splitter: Splitter, new_id: Callable[[], str] = str, stop: tuple[str, ...] = ()
    ) -> None:
        """
        new_id: makes the id of a call whose text has none.
        stop: strings that end the text, where the coordinator could not tell it from calls.
        """
        self.choice = choice
        self.is_ended = False  # nothing comes any more; a stream that still runs is to be closed
        self._splitter = splitter
        self._new_id = new_id
        self._stop = StopStrings(stop)
        self._clock = TurnClock()
        self._num_calls = 0
        self._num_reasoning_tokens = 0
        self._is_started = False
        self._num_characters = 0
        self._tokens: deque[tuple[int, TokenLogprob | None]] = deque()  # with where the text of each begins, at least

    def push(self, event: TokenEvent) -> list[ChatEvent]:
        """What is known now; the last of all events is an End."""
        if self.is_ended:
            return []
        events = self._prompt(event)
        if event.token is not None:
            logprob = None if event.logprob is None else TokenLogprob(event.token, event.logprob, event.top)
            self._tokens.append((self._num_characters, logprob))
        self._num_characters += len(event.text)
        self._clock.see(event)
        parts = self._splitter.push(event.text) if event.text else []
        if event.finish_reason is not None:
            parts += self._splitter.finish()
        parts = self._stop.push(parts)
        if event.finish_reason is not None and self._stop.found is None:
            parts += self._stop.finish()
        for part in parts:
            events += self._events(part)
        if self._stop.found is not None:
            events.append(self._end(FinishReason.STOP, event.timings or self._clock.timings(), self._stop.found))
        elif event.finish_reason is not None:
            events.append(self._end(event.finish_reason, event.timings or Timings(), event.stop_string))
        return events

    def _end(self, reason: FinishReason, timings: Timings, stop_string: str | None) -> End:
        self.is_ended = True
        return End(self.choice, reason, timings, self._num_reasoning_tokens, self._num_calls, stop_string)

    def fail(self, error: ClusterError) -> list[ChatEvent]:
        """The stream has failed."""
        if self.is_ended:
            return []
        self.is_ended = True
        return [Failed(self.choice, error)]

    def _prompt(self, event: TokenEvent) -> list[ChatEvent]:
        counts = event.prompt
        if event.token is None and event.finish_reason is None:
            if counts is None or self._is_started:
                return []
            return [PromptProgress(self.choice, counts.num_computed, counts.num_prompt_tokens)]
        if self._is_started:
            return []
        self._is_started = True
        if counts is not None:
            return [Started(self.choice, counts.num_prompt_tokens, counts.num_cached_tokens)]
        timings = event.timings or Timings()
        return [Started(self.choice, timings.num_prompt_tokens, timings.num_cached_tokens)]

    def _events(self, part: Part) -> list[ChatEvent]:
        logprobs = self._taken(part)
        index = self._num_calls - 1
        match part.kind:
            case PartKind.CONTENT:
                return [Content(self.choice, part.text, logprobs)]
            case PartKind.REASONING:
                return [Reasoning(self.choice, part.text, logprobs)]
            case PartKind.CALL:
                self._num_calls += 1
                return [CallBegin(self.choice, index + 1, part.id or self._new_id(), part.text)]
            case PartKind.ARGUMENTS:
                return [CallArguments(self.choice, index, part.text)]
            case PartKind.CALL_END:
                return [CallEnd(self.choice, index)]

    def _taken(self, part: Part) -> Logprobs:
        """Of the tokens whose text begins in the part, and of those without text before it. Those of marks go."""
        taken = []
        while self._tokens and self._tokens[0][0] < part.upto:
            begin, logprob = self._tokens.popleft()
            self._num_reasoning_tokens += part.kind is PartKind.REASONING
            if logprob is not None and begin >= part.upto - len(part.text):
                taken.append(logprob)
        return tuple(taken)
