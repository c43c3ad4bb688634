"""Calls of programs on the wire: they come back as they were sent, and strangers' bytes harm nobody."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

import numpy as np
import pytest

from cluster.api.errors import UsageError
from cluster.messages.program import Array, CallFailure, ProgramResult, ProgramStep
from cluster.messages.step import StepId
from cluster.wire import limits
from cluster.wire.codec.arrays import ITEM_BYTES
from cluster.wire.codec.program import ProgramAssembly, as_result, program_parts
from cluster.wire.codec.step.assembly import StepAssembly
from cluster.wire.codec.step.frames import encode_step
from cluster.wire.codec.step.header import StepLimits, check_sent
from cluster.wire.limits import parse
from protos import stage_pb2
from protos.arrays_pb2 import ArrayHeader, ArraysPart
from protos.stage_pb2 import Hello, ProgramHeader, ProgramPart, StepMessage
from tests.fakes.wire_backends import make_batch
from tests.unit.wire.test_arrays import array

CALLS = StepLimits(num_slots=1, context_length=1, hidden_width=0, stage=0, num_stages=2, runs_program=True)
ROWS = StepLimits(num_slots=8, context_length=64, hidden_width=0, stage=0, num_stages=2)
STEP = ProgramStep(StepId(2, 1, 7), (3, 5), {"x": array(3, 5), "mask": array(3, dtype="bool", seed=1)})
FAILED = ProgramStep(StepId(2, 0, 8), (), {}, CallFailure("CapacityError", "memory: the call takes more than is free"))
LONG = ProgramStep(StepId(2, 2, 9), (), {"x": array(limits.PART_BYTES // 4 + 3), "y": array(2, seed=1)})


def received(messages: Iterable[bytes], stage_limits: StepLimits = CALLS) -> list[ProgramStep]:
    assembly, found = StepAssembly(stage_limits), []
    for data in messages:
        step = assembly.add(parse(StepMessage, data))
        if step is not None:
            assert isinstance(step[0], ProgramStep)
            assert step[1] is None
            found.append(step[0])
    return found


def check_equal(found: ProgramStep | ProgramResult, wanted: ProgramStep | ProgramResult) -> None:
    assert (found.id, found.failure, list(found.arrays)) == (wanted.id, wanted.failure, list(wanted.arrays))
    for name, one in wanted.arrays.items():
        there = found.arrays[name]
        assert (there.dtype, there.shape, there.data.tobytes()) == (one.dtype, one.shape, one.data.tobytes())


def test_calls_come_back_one_behind_the_other() -> None:
    sent = [STEP, LONG, FAILED, STEP]
    found = received(data for step in sent for data in encode_step(step, None))
    for there, one in zip(found, sent, strict=True):
        check_equal(there, one)
        assert there.symbols == one.symbols


def test_no_message_is_longer_than_the_channel_allows() -> None:
    sizes = [len(data) for data in encode_step(LONG, None)]
    assert len(sizes) == 2
    assert max(sizes) < limits.MAX_MESSAGE_BYTES


@pytest.mark.parametrize("failure", [None, FAILED.failure])
def test_results_have_the_form_of_calls(failure: CallFailure | None) -> None:
    result = ProgramResult(StepId(4, 0, 1), {} if failure else LONG.arrays, failure)
    assembly = ProgramAssembly()
    found = [assembly.add(part) for part in program_parts(result)]
    assert found[-1] is not None
    assert not any(found[:-1])
    assert not assembly.is_open
    check_equal(as_result(found[-1]), result)


def test_an_assembly_is_open_while_arrays_are_missing() -> None:
    first, second = program_parts(LONG)
    assembly = ProgramAssembly()
    assert not assembly.is_open
    assert assembly.add(first) is None
    assert assembly.is_open
    assert assembly.add(second) is not None
    assert not assembly.is_open


def program(header: ProgramHeader | None = None, **arrays: object) -> StepMessage:
    return StepMessage(program=ProgramPart(header=header, arrays=ArraysPart(**arrays)))  # type: ignore[arg-type]


ONE = [ArrayHeader(name="x", dtype="int32", shape=[1])]
REFUSED: dict[str, tuple[list[StepMessage], str]] = {
    "arrays without a header": ([program(data=b"1234")], "arrays without a header"),
    "no part at all": ([StepMessage(program=ProgramPart())], "arrays without a header"),
    "a header while arrays are missing": (
        [program(ProgramHeader(), arrays=ONE, data=b"12"), program(ProgramHeader())],
        "a header while arrays are missing",
    ),
    "more data than announced": ([program(ProgramHeader(), arrays=ONE, data=b"12345")], "5 bytes where 4 are missing"),
    "data that nobody announced": ([program(ProgramHeader(), data=b"1")], "1 bytes where 0 are missing"),
    "a header without its data": ([program(ProgramHeader(), arrays=ONE)], "a part without data"),
    "too many symbols": ([program(ProgramHeader(symbols=[1] * (limits.MAX_SYMBOLS + 1)))], "symbols"),
    "a huge symbol": ([program(ProgramHeader(symbols=[1 << 63]))], "symbols"),
    "an array of no type": ([program(ProgramHeader(), arrays=[ArrayHeader(name="x", dtype="void")])], "unknown dtype"),
    "a hello": ([StepMessage(hello=Hello())], "another kind"),
    "no kind": ([StepMessage()], "another kind"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_call_is_refused(name: str) -> None:
    messages, why = REFUSED[name]
    with pytest.raises(UsageError, match=why):
        received([message.SerializeToString() for message in messages])


def test_a_reason_that_is_too_long_is_cut_by_the_sender_and_refused_by_the_receiver() -> None:
    long = CallFailure("UsageError", "x" * (limits.MAX_REASON_CHARS + 1))
    (found,) = received(encode_step(ProgramStep(STEP.id, (), {}, long), None))
    assert found.failure == CallFailure("UsageError", "x" * limits.MAX_REASON_CHARS)
    sent = stage_pb2.CallFailure(kind=long.kind, reason=long.reason)
    with pytest.raises(UsageError, match=r"failure\.reason"):
        received([program(ProgramHeader(failure=sent)).SerializeToString()])


def test_each_kind_of_stage_takes_its_own_steps() -> None:
    batch = make_batch()
    with pytest.raises(UsageError, match="another kind"):
        received(encode_step(STEP, None), ROWS)
    with pytest.raises(UsageError, match="another kind"):
        received(encode_step(batch, None))
    with pytest.raises(UsageError, match="another kind"):
        check_sent(STEP, None, ROWS)
    with pytest.raises(UsageError, match="another kind"):
        check_sent(batch, None, CALLS)
    check_sent(STEP, None, CALLS)


def check_sound(step: ProgramStep) -> None:
    assert len(step.symbols) <= limits.MAX_SYMBOLS
    assert len(step.arrays) <= limits.MAX_ARRAYS
    for name, one in step.arrays.items():
        assert len(name) <= limits.MAX_NAME_CHARS
        assert one.data.nbytes == math.prod(one.shape) * ITEM_BYTES[one.dtype]
        np.empty(0, np.uint8).reshape((*one.shape, 0))  # a shape that numpy can have


def mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[place] = chance.randrange(256)
            case 1:
                changed[place] ^= 1 << chance.randrange(8)
            case 2:
                changed[place:place] = chance.randbytes(chance.randint(1, 4))
            case _:
                del changed[place : place + chance.randint(1, 4)]
        if not changed:
            break
    return bytes(changed)


def test_changed_bytes_are_refused_or_a_sound_call() -> None:
    """Neither another exception, nor a call out of bounds."""
    chance = random.Random(0)
    small = ProgramStep(StepId(2, 1, 7), (3, 5), {"x": array(2, 3), "mask": array(3, dtype="bool"), "none": array(0)})
    wholes = [data for step in (small, FAILED) for data in encode_step(step, None)]
    num_refused = num_sound = 0
    for _ in range(2000):
        try:
            found = received([mutated(chance.choice(wholes), chance)])
        except UsageError:
            num_refused += 1
            continue
        for step in found:
            check_sound(step)
        num_sound += len(found)
    assert num_refused > 500, "most changes break something"
    assert num_sound > 50, "some change only the elements"


def test_arrays_may_be_written_to_by_nobody_else() -> None:
    """What was assembled does not share memory between two calls."""
    first, second = received(data for _ in range(2) for data in encode_step(STEP, None))
    assert isinstance(first.arrays["x"], Array)
    assert not np.shares_memory(first.arrays["x"].data, second.arrays["x"].data)
