"""Which numbers of rows are padded, to go by what they take."""

from __future__ import annotations

import pytest

from cluster.stage.compute import row_sizes


@pytest.mark.parametrize(
    ("decode_ms", "expected"),
    [
        ({}, []),
        ({1: 10.0}, [1]),
        ({1: 10.0, 2: 17.0, 3: 20.0, 4: 10.0}, [1, 4, 4, 4]),
        ({1: 11.2, 2: 17.0, 3: 20.0, 4: 10.0}, [4, 4, 4, 4]),
        ({1: 10.0, 2: 10.0, 3: 9.9}, [1, 2, 3]),  # not worth it
        ({1: 10.0, 2: 30.0, 8: 2.0}, [1, 2]),  # too far
    ],
)
def test_rows_are_padded_where_more_take_less(decode_ms: dict[int, float], expected: list[int]) -> None:
    assert row_sizes(decode_ms) == expected
