"""Rows of pictures have lines and columns for positions: behind the last slice are, bit for bit, mtmd's logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import worker_native
from tests.native.pictures.chain import sliced
from tests.native.pictures.sections.families import FAMILIES, GRIDS, Seen
from tests.native.pictures.sections.pipeline import Run, decode, forward, prefill, runs_of

pytestmark = pytest.mark.native

Slices = list[worker_native.Slice]
ROW_SHAPES = 2e-3  # between calls with other numbers of rows, the keys being kept as F16


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_are_those_of_mtmd_on_the_whole_model(name: str, see: Callable[[str], Seen], tmp_path: Path) -> None:
    """As are the rows, and where they lie. Whole, and cut in two and three, also between layers that add more."""
    seen = see(name)
    pictures = seen.prompt.pictures
    assert tuple(picture.grid for picture in pictures) == GRIDS
    assert np.array_equal(np.concatenate([picture.rows for picture in pictures]), seen.whole.rows)
    for cuts in FAMILIES[name].cuts:
        with sliced(seen.model, cuts, tmp_path) as slices:
            for slot in (0, 2):
                logits = [
                    prefill(slices, seen.prompt, slot),
                    *decode(slices, seen.prompt, slot, seen.whole.tokens[:-1]),
                ]
                assert np.array_equal(np.stack(logits), seen.whole.logits), (cuts, slot)


def test_where_rows_are_in_a_picture_matters(slices: Slices, seen: Seen) -> None:
    """So that the test before could fail: the same rows as those of a picture of one line."""
    for run in runs_of(seen.prompt, 0):
        if run.picture is None or run.picture.grid is None:
            logits = forward(slices, run)
            continue
        width, height = run.picture.grid
        given = np.zeros(len(run.places), np.int32)
        hidden = run.rows
        for one in slices:
            places = np.array(run.places, np.int32)
            flags = np.zeros(len(given), np.bool_)
            flat = [(0, run.picture.first, width * height, 1)]
            hidden = one.forward(given, places, given, flags, hidden, pictures=flat)
    assert np.abs(logits[0] - seen.whole.logits[0]).max() > 10 * ROW_SHAPES


def test_a_slot_goes_back_to_the_beginning_of_a_picture_or_its_end(slices: Slices, seen: Seen) -> None:
    """And another one starts from what it holds."""
    first, second = seen.prompt.pictures
    prefill(slices, seen.prompt, 0)
    decode(slices, seen.prompt, 0, seen.whole.tokens[:3])
    for slot, place in ((0, second.end), (1, second.first), (0, second.first), (2, first.first), (0, 3)):
        for one in slices:
            one.prepare_slot(slot, 0, place)
        assert np.array_equal(prefill(slices, seen.prompt, slot, place), seen.whole.logits[0]), (slot, place)
        assert np.array_equal(decode(slices, seen.prompt, slot, seen.whole.tokens[:1])[0], seen.whole.logits[1])


def test_a_slot_cannot_be_cut_within_a_picture(slices: Slices, seen: Seen) -> None:
    first, _ = seen.prompt.pictures
    prefill(slices, seen.prompt, 0)
    for place in (first.first + 1, first.end - 1):
        for slot in (0, 1):
            with pytest.raises(ValueError, match=rf"length: row {place} of slot 0 is within a picture"):
                slices[-1].prepare_slot(slot, 0, place)
    assert [one.slot_length(0) for one in slices] == [len(seen.prompt.token_ids)] * len(slices)


def test_a_picture_may_come_in_parts(slices: Slices, seen: Seen) -> None:
    text, picture, *rest = runs_of(seen.prompt, 0)
    middle = picture.first + 7
    forward(slices, text)
    forward(slices, picture._replace(end=middle))
    with pytest.raises(ValueError, match=r"pictures: slot 0 has 7 rows of one of 5 x 5; give the others first"):
        forward(slices, Run(0, middle, [5]))
    for one in slices:
        one.prepare_slot(1, 0, middle)  # all that it holds
    for slot in (0, 1):
        forward(slices, picture._replace(slot=slot, first=middle))
        logits = [forward(slices, run._replace(slot=slot)) for run in rest][-1][0]
        assert logits == pytest.approx(seen.whole.logits[0], abs=ROW_SHAPES)
    for one in slices:
        one.prepare_slot(1, 0, picture.first)
    forward(slices, picture._replace(slot=1))
    assert np.array_equal([forward(slices, run._replace(slot=1)) for run in rest][-1][0], seen.whole.logits[0])


def test_the_number_of_slots_need_not_divide_the_rows_of_a_call(see: Callable[[str], Seen], tmp_path: Path) -> None:
    """Where the last layer of a slice adds more of a picture: libllama plans for rows that slots share equally."""
    seen = see("qwen3")
    with sliced(seen.model, (2,), tmp_path, n_slots=3) as slices:
        assert np.array_equal(prefill(slices, seen.prompt, 2), seen.whole.logits[0])


@pytest.mark.parametrize("other_slot", [1, 2])
def test_two_slots_at_once_say_what_each_says_alone(other_slot: int, seen: Seen, tmp_path: Path) -> None:
    """Side by side, or with a slot between them; as three slices and as one, of the same rows bit for bit."""
    found = []
    for cuts in ((), (1, 3)):
        with sliced(seen.model, cuts, tmp_path) as slices:
            logits = [
                forward(slices, one, other)
                for one, other in zip(runs_of(seen.prompt, 0), runs_of(seen.prompt, other_slot), strict=True)
            ]
            place = len(seen.prompt.token_ids)
            for number, token in enumerate(seen.whole.tokens[:2]):
                both = (Run(slot, place + number, [token]) for slot in (0, other_slot))
                logits.append(forward(slices, *both))
            found.append(np.stack(logits))
    assert np.array_equal(*found)
    for behind, expected in zip(found[0][-3:], seen.whole.logits, strict=False):
        for of_slot in behind:
            assert of_slot == pytest.approx(expected, abs=ROW_SHAPES)


def test_single_rows_of_two_slots_leave_what_the_slot_between_has(slices: Slices, seen: Seen) -> None:
    """A row that nobody reads is computed there, behind a part of a picture, and is forgotten."""
    text, picture, *rest = runs_of(seen.prompt, 0)
    for slot in (1, 0, 2):
        forward(slices, text._replace(slot=slot))
    forward(slices, picture._replace(slot=1, end=picture.first + 9))
    for place in range(2):
        rows = (
            picture._replace(slot=slot, first=picture.first + place, end=picture.first + place + 1) for slot in (0, 2)
        )
        forward(slices, *rows)
    assert sum(one.timings["filler_rows"] for one in slices) == 2 * len(slices)
    for slot, first in ((0, 2), (1, 9), (2, 2)):
        forward(slices, picture._replace(slot=slot, first=picture.first + first))
        logits = [forward(slices, run._replace(slot=slot)) for run in rest][-1][0]
        assert logits == pytest.approx(seen.whole.logits[0], abs=ROW_SHAPES)


def test_a_step_that_fails_changes_nothing(slices: Slices, seen: Seen) -> None:
    text, picture, *rest = runs_of(seen.prompt, 0)
    forward(slices, text)
    one, grid = slices[0], picture.picture
    assert grid is not None
    assert grid.grid is not None
    ids, flags = np.zeros(len(picture.places), np.int32), np.zeros(len(picture.places), np.bool_)
    places = np.array(picture.places, np.int32)

    def refused(pictures: list[tuple[int, int, int, int]], why: str) -> None:
        with pytest.raises(ValueError, match=why):
            one.forward(ids, places, ids, flags, picture.rows, pictures=pictures)

    refused([], "pictures: the positions of this model have sections; say how the rows lie")
    refused([(0, grid.first - 1, 5, 5)], r"pictures: one begins at row \d+ of slot 0, which has \d+")
    refused([(0, grid.first, 5, 4)], "pictures: row 20 is behind the end of that of slot 0")
    refused([(0, grid.first, 2**31 - 1, 2**31 - 1)], "which holds 256")
    refused([(0, grid.first, 2**40, 1)], "pictures: 1099511627776 is outside")
    refused([(0, grid.first, 0, 5)], "pictures: 0 x 5 rows")
    refused([(7, grid.first, 5, 5)], "pictures: 7 is outside 0..3")
    refused([(1, 0, 5, 5)], "pictures: none of slot 0, which has rows")
    refused([(0, grid.first, 5, 5)] * 2, "pictures: two of slot 0")
    with pytest.raises(ValueError, match="hidden: none for rows of pictures"):
        one.forward(ids, places, ids, flags, pictures=[(0, grid.first, 5, 5)])
    forward(slices, picture)
    assert np.array_equal([forward(slices, run) for run in rest][-1][0], seen.whole.logits[0])


def test_models_without_sections_take_no_grids(tmp_path: Path) -> None:
    from tests.fakes.tiny_models import TinyModel, write_tiny

    with sliced(write_tiny(tmp_path / "m.gguf", TinyModel()), (), tmp_path) as slices:
        zero = np.zeros(1, np.int32)
        rows = np.zeros((1, slices[0].hidden_width), np.float32)
        with pytest.raises(ValueError, match="pictures: the positions of this model have no sections"):
            slices[0].forward(zero, zero, zero, np.ones(1, np.bool_), rows, pictures=[(0, 0, 1, 1)])
