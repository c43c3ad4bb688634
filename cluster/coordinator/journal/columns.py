"""Columns: the tokens of many events side by side, for almost all events are a token and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Set
from itertools import compress

from cluster.api.errors import UsageError
from cluster.api.results import TokenEvent
from cluster.wire.limits import MAX_INT32, MAX_TEXT_BYTES, check_length, check_range
from protos import journal_pb2


def is_plain(event: TokenEvent) -> bool:
    """Whether columns hold all of it."""
    return (
        event.token is not None
        and event.logprob is not None
        and event.prompt is None
        and event.finish_reason is None
        and event.timings is None
        and event.stop_string is None
        and not event.top
        and not event.prompt_logprobs
    )


class Columns:
    """Rows that wait to become one record: the serial of a request, and what an event says."""

    def __init__(self) -> None:
        self._serials: list[int] = []
        self._tokens: list[int] = []
        self._texts: list[str] = []
        self._logprobs: list[float] = []

    def __len__(self) -> int:
        return len(self._serials)

    def add(self, serial: int, event: TokenEvent) -> None:
        """A plain event of this request."""
        assert event.token is not None and event.logprob is not None, "the event is not plain"
        self._serials.append(serial)
        self._tokens.append(event.token)
        self._texts.append(event.text)
        self._logprobs.append(event.logprob)

    def add_those(self, message: journal_pb2.JournalTokens, wanted: Set[int]) -> None:
        """The rows of `message` that belong to these requests. UsageError as for `serials_in`."""
        serials = serials_in(message)
        chosen = [serial in wanted for serial in serials]
        if any(chosen):  # most records are of others, and have none
            self._serials.extend(compress(serials, chosen))
            self._tokens.extend(compress(message.tokens[:], chosen))
            self._texts.extend(compress(message.texts[:], chosen))
            self._logprobs.extend(compress(message.logprobs[:], chosen))

    def take(self) -> bytes:
        """The record of all rows, in their order; then there are none."""
        record = journal_pb2.JournalRecord()
        tokens = record.tokens  # filled in its place: one made elsewhere would be copied there, for a third of the time
        tokens.serials.extend(self._serials)
        tokens.tokens.extend(self._tokens)
        tokens.texts.extend(self._texts)
        tokens.logprobs.extend(self._logprobs)
        self.clear()
        return record.SerializeToString()

    def clear(self) -> None:
        self._serials.clear()
        self._tokens.clear()
        self._texts.clear()
        self._logprobs.clear()


def serials_in(message: journal_pb2.JournalTokens) -> list[int]:
    """Of each row. UsageError unless all columns have the same length."""
    serials = message.serials[:]  # at once: a step through a list of protobuf's takes ten times as long
    if not len(serials) == len(message.tokens) == len(message.texts) == len(message.logprobs):
        raise UsageError("tokens: columns of different lengths; all must have the same")
    return serials


def plain_events(message: journal_pb2.JournalTokens, wanted: Set[int]) -> Iterator[tuple[int, TokenEvent]]:
    """The events of these requests, each with its request's serial. UsageError names what is out of bounds."""
    serials = serials_in(message)
    if wanted.isdisjoint(serials):  # as in most records
        return
    for place, serial in enumerate(serials):
        if serial in wanted:
            token = check_range("tokens.token", message.tokens[place], 0, MAX_INT32)
            check_length("tokens.text", message.texts[place], MAX_TEXT_BYTES)
            yield serial, TokenEvent(token, message.texts[place], message.logprobs[place])
