"""Where positions have sections, how rows lie in their pictures travels with these rows, and is bounded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cluster.api.errors import HandshakeError, UsageError
from cluster.messages.step import Float32Array, Microbatch, SlotPicture
from cluster.wire.codec.hello import check_hello, decode_hello, encode_hello
from cluster.wire.codec.step.assembly import StepAssembly
from cluster.wire.codec.step.frames import encode_step
from cluster.wire.codec.step.header import StepLimits, check_sent, encode_header
from protos import stage_pb2
from tests.fakes.wire_backends import make_batch, make_hello

PICTURES = (SlotPicture(0, 5, 3, 4), SlotPicture(1, 0, 1, 2), SlotPicture(2, 0, 2, 1))
BATCH = replace(make_batch(1, 3), is_pictured=True, pictures=PICTURES)


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("width", [0, 24])
def test_pictures_travel_with_rows_of_their_own_width(stage: int, width: int) -> None:
    hello = make_hello(stage=stage, picture_width=width)
    assert decode_hello(encode_hello(hello)) == hello
    agreed = StepLimits.of(hello)
    rows = np.random.default_rng(3).random((3, width or hello.hidden_width), np.float32)
    check_sent(BATCH, rows, agreed)
    found = _received(BATCH, rows, agreed)
    assert found[0].pictures == PICTURES
    assert found[1] is not None
    assert np.array_equal(found[1], rows)
    with pytest.raises(UsageError, match=r"hidden: shape \(3, 25\); this stage takes \(3, "):
        check_sent(BATCH, np.zeros((3, 25), np.float32), agreed)


def test_rows_of_tokens_keep_theirs() -> None:
    hello = make_hello(picture_width=24)
    rows = np.zeros((3, hello.hidden_width), np.float32)
    check_sent(make_batch(1, 3), rows, StepLimits.of(hello))
    assert _received(make_batch(1, 3), rows, StepLimits.of(hello))[0].pictures == ()


def test_ends_agree_on_the_width() -> None:
    with pytest.raises(HandshakeError, match=r"hello\.picture_width: stage 1 has 24, its peer has 0"):
        check_hello(make_hello(picture_width=24), make_hello())


@pytest.mark.parametrize(
    ("pictures", "why"),
    [
        ((SlotPicture(4, 0, 1, 1),), r"pictures\.slot: 4 is out of range"),
        ((SlotPicture(0, 128, 1, 1),), r"pictures\.first: 128 is out of range"),
        ((SlotPicture(0, 0, 0, 1),), r"pictures\.width: 0 is out of range"),
        ((SlotPicture(0, 0, 129, 1),), r"pictures\.width: 129 is out of range"),
        ((SlotPicture(0, 0, 64, 3),), r"pictures\.height: 3 is out of range; .* 1 to 2"),
        (PICTURES * 2, "pictures: length 6 is over the limit"),
    ],
)
def test_each_number_is_bounded(pictures: tuple[SlotPicture, ...], why: str) -> None:
    agreed = StepLimits.of(make_hello(stage=0))
    header = encode_header(replace(BATCH, pictures=pictures), agreed.picture_width)
    with pytest.raises(UsageError, match=why):
        StepAssembly(agreed).add(stage_pb2.StepMessage(header=header))


def test_tokens_have_no_pictures() -> None:
    agreed = StepLimits.of(make_hello())
    header = encode_header(replace(BATCH, is_pictured=False), agreed.hidden_width)
    with pytest.raises(UsageError, match="pictures: of a step whose rows are those of tokens; set is_pictured"):
        StepAssembly(agreed).add(stage_pb2.StepMessage(header=header))


def _received(batch: Microbatch, rows: Float32Array, agreed: StepLimits) -> tuple[Microbatch, Float32Array | None]:
    assembly = StepAssembly(agreed)
    results = [assembly.add(stage_pb2.StepMessage.FromString(data)) for data in encode_step(batch, rows)]
    assert results[-1] is not None
    assert isinstance(results[-1][0], Microbatch)
    return results[-1][0], results[-1][1]
