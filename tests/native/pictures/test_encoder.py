"""Pictures become the rows that mtmd makes of them, in a process that may die."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from cluster.api.errors import UsageError
from cluster.pictures.encoder import PictureEncoder, joined
from cluster.pictures.parts import PartRows
from cluster.pictures.projector import open_projector
from tests.fakes.tiny_projector import png
from tests.native.pictures.conftest import PICTURES, PROJECTOR, Seeing

pytestmark = pytest.mark.native


def test_the_rows_are_those_that_mtmd_makes(seeing: Seeing, encoder: PictureEncoder) -> None:
    encoded = [encoder.encode(picture, "picture") for picture in PICTURES]
    rows = np.concatenate([part.rows for one in encoded for part in one.parts if isinstance(part, PartRows)])
    assert rows.shape == (2 * PROJECTOR.num_rows, PROJECTOR.row_width)
    assert np.array_equal(rows, seeing.whole.rows)
    assert not np.array_equal(rows[: PROJECTOR.num_rows], rows[PROJECTOR.num_rows :])


def test_a_prompt_has_the_same_stand_ins_for_the_same_picture_only(encoder: PictureEncoder) -> None:
    first, second = (encoder.encode(picture, "picture") for picture in PICTURES)
    prompt = joined([[1, 5], first, [6], second, first, [7]])
    n = PROJECTOR.num_rows
    assert [(one.first, one.end) for one in prompt.pictures] == [(2, 2 + n), (3 + n, 3 + 2 * n), (3 + 2 * n, 3 + 3 * n)]
    ids = prompt.token_ids
    assert (ids[:2], ids[2 + n], ids[-1]) == ((1, 5), 6, 7)
    one, other, again = (ids[place.first : place.end] for place in prompt.pictures)
    assert one == again != other
    assert max(one + other) < 0
    assert len(set(one) | set(other)) == 2 * n


def test_what_cannot_be_decoded_is_refused_and_the_next_picture_is_not(encoder: PictureEncoder) -> None:
    pid = encoder.pid
    with pytest.raises(UsageError, match=r"^messages\[0\]: it cannot be decoded"):
        encoder.encode(png()[:100], "messages[0]")
    assert encoder.encode(PICTURES[0], "picture").parts
    assert encoder.pid == pid, "a refusal ends no process"


def test_a_picture_whose_process_dies_fails_alone(encoder: PictureEncoder) -> None:
    pid = encoder.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(UsageError, match=r"lost with this one: .*SIGKILL"):
        encoder.encode(png(seed=9), "picture")
    assert encoder.encode(png(seed=9), "picture").num_bytes == 4 * PROJECTOR.num_rows * PROJECTOR.row_width
    assert encoder.pid != pid


def test_a_projector_that_mtmd_does_not_load_is_said_to_be_damaged(seeing: Seeing, tmp_path: Path) -> None:
    whole = seeing.projector.read_bytes()
    path = tmp_path / "renamed.gguf"
    path.write_bytes(whole.replace(b"v.blk.0.attn_out.weight", b"v.blk.0.attn_OUT.weight"))
    with pytest.raises(UsageError, match=rf"mmproj: {path}: "):
        PictureEncoder(open_projector(str(path)), seeing.model, 1)
