"""Which numbers of rows are padded, to go by what they take."""

from __future__ import annotations

import pytest

from cluster.stage.models.row_sizes import row_sizes


@pytest.mark.parametrize(
    ("decode_ms", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({1: 10.0}, [1]),
        ({1: 10.0, 2: 17.0, 3: 20.0, 4: 10.0}, [1, 4, 4, 4]),
        ({1: 11.2, 2: 17.0, 3: 20.0, 4: 10.0}, [4, 4, 4, 4]),
        ({1: 10.0, 2: 10.0, 3: 9.9}, [1, 2, 3]),  # not worth it
        ({1: 10.0, 2: 30.0, 8: 2.0}, [*range(1, 9)]),  # too far, or not measured
    ],
)
def test_rows_are_padded_where_more_take_less(decode_ms: dict[int, float], expected: list[int]) -> None:
    assert row_sizes(decode_ms, len(expected)) == expected


def test_what_is_left_over_behind_whole_blocks_is_padded_as_it_is_behind_the_first_one() -> None:
    decode_ms = {1: 10.0, 2: 18.0, 3: 26.0, 4: 17.0, 5: 27.0, 6: 35.0, 7: 43.0, 8: 34.0, 12: 50.0, 16: 66.0}
    first_blocks = [1, 2, 4, 4, 5, 6, 8, 8]
    assert row_sizes(decode_ms, 18) == [*first_blocks, 9, 10, 12, 12, 13, 14, 16, 16, 17, 18]
    assert row_sizes(decode_ms, 15)[-1] == 15, "no more rows than there are slots"
