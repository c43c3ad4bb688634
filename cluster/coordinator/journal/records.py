"""Records: what the journal says of a request <-> bytes. What columns hold is theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.api.errors import UsageError
from cluster.api.lists import MAX_ADAPTERS, SCALE
from cluster.api.results import TokenEvent
from cluster.coordinator.journal.asked import Asked
from cluster.coordinator.journal.limits import TICKET_BYTES
from cluster.wire.codec.answer import decode_events, encode_events
from cluster.wire.codec.inference import check_token_ids
from cluster.wire.codec.sampling import decode_sampling, encode_sampling
from cluster.wire.limits import check_length, check_name, parse
from protos import journal_pb2

VERSION = 2


def record_in(data: bytes) -> journal_pb2.JournalRecord:
    """UsageError if it is none."""
    return parse(journal_pb2.JournalRecord, data)


def header_record(identity: str) -> bytes:
    header = journal_pb2.JournalHeader(version=VERSION, identity=identity)
    return journal_pb2.JournalRecord(header=header).SerializeToString()


def begin_message(asked: Asked) -> journal_pb2.JournalBegin:
    """What is asked, without a serial. UsageError for what would not be read back."""
    return journal_pb2.JournalBegin(
        ticket=check_ticket(asked.ticket),
        token_ids=check_token_ids("token_ids", asked.token_ids),
        params=encode_sampling(asked.params),
        client=check_name("client", asked.client),
        scales=_checked_scales(asked.scales),
    )


def begin_record(serial: int, message: journal_pb2.JournalBegin) -> bytes:
    """`message` gets the serial."""
    message.serial = serial
    return journal_pb2.JournalRecord(begin=message).SerializeToString()


def asked_in(message: journal_pb2.JournalBegin) -> Asked:
    """UsageError names the field that is out of bounds."""
    return Asked(
        check_ticket(message.ticket),
        tuple(check_token_ids("token_ids", message.token_ids)),
        decode_sampling(message.params),
        check_name("client", message.client),
        _checked_scales(message.scales),
    )


def event_record(serial: int, event: TokenEvent) -> bytes:
    """Of an event that is more than a token, and not the last."""
    (events,) = encode_events([event])
    return journal_pb2.JournalRecord(events=journal_pb2.JournalEvents(serial=serial, events=events)).SerializeToString()


def events_in(message: journal_pb2.JournalEvents) -> Iterator[TokenEvent]:
    """UsageError names the field that is out of bounds, also for an event that would end the request."""
    for event in decode_events(message.events):
        if event.finish_reason is not None:
            raise UsageError("events: a last one; it ends the request, and is not written")
        yield event


def end_record(serial: int) -> bytes:
    return journal_pb2.JournalRecord(end=journal_pb2.JournalEnd(serial=serial)).SerializeToString()


def try_record(serial: int) -> bytes:
    return journal_pb2.JournalRecord(again=journal_pb2.JournalTry(serial=serial)).SerializeToString()


def check_ticket(ticket: bytes) -> bytes:
    if len(ticket) != TICKET_BYTES:
        raise UsageError(f"ticket: {len(ticket)} bytes; it must have {TICKET_BYTES}")
    return ticket


def _checked_scales(scales: Sequence[float]) -> tuple[float, ...]:
    check_length("scales", scales, MAX_ADAPTERS)
    checked = [SCALE.checked("scales", scale) for scale in scales]
    return tuple([scale for scale in checked if scale is not None])
