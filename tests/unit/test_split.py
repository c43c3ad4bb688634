"""Layers and shares as an operator writes them, and the cuts that shares mean."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.errors import UsageError
from cluster.config import ClusterConfig
from cluster.planning.search.tensor_split import cuts_by_fraction
from cluster.split import format_layers, parse_layers, parse_tensor_split


def test_layers_are_ranges_with_both_ends() -> None:
    assert parse_layers("0-11,12-23") == ((0, 12), (12, 24))
    assert parse_layers(" 0, 1-2 ,3") == ((0, 1), (1, 3), (3, 4))
    assert format_layers(((0, 12), (12, 24))) == "0-11,12-23"


@pytest.mark.parametrize("text", ["", "1-3", "0-3,5-7", "0-3,3-5", "0-3,4-2", "0-x", "-1", "0-1,", "0-٣", "0-9999999"])
def test_layers_that_do_not_follow_one_another_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^layers: .*(begin at layer|range of layers)"):
        parse_layers(text)


@pytest.mark.parametrize("text", ["", "3,", "0,1", "-1,2", "nan", "inf,1", "a"])
def test_shares_are_positive_numbers(text: str) -> None:
    with pytest.raises(UsageError, match=r"^tensor-split: .* is no share"):
        parse_tensor_split(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_layers, parse_tensor_split):
        try:
            assert parse(text)
        except UsageError as error:
            assert "\n" not in str(error)


def test_shares_are_cut_at_the_nearest_legal_place() -> None:
    assert cuts_by_fraction(24, range(1, 24), (3, 1)) == ((0, 18), (18, 24))
    assert cuts_by_fraction(24, range(1, 24), (1, 1, 2)) == ((0, 6), (6, 12), (12, 24))
    assert cuts_by_fraction(24, (6, 12), (3, 1)) == ((0, 12), (12, 24))
    assert cuts_by_fraction(4, (1, 2, 3), (100, 1, 1)) == ((0, 2), (2, 3), (3, 4))
    with pytest.raises(UsageError, match=r"3 stages, .* at 1 places; give at most 2"):
        cuts_by_fraction(24, (6,), (1, 1, 1))


@given(st.data())
def test_no_other_cuts_are_nearer(data: st.DataObject) -> None:
    num_layers = data.draw(st.integers(2, 8))
    legal = sorted(data.draw(st.sets(st.integers(1, num_layers - 1), min_size=1)))
    shares = data.draw(st.lists(st.sampled_from((1, 2, 5)), min_size=1, max_size=len(legal) + 1))
    ends = [num_layers * so_far / sum(shares) for so_far in itertools.accumulate(shares)]

    def distance(cuts: tuple[int, ...]) -> float:
        return max((abs(cut - end) for cut, end in zip(cuts, ends, strict=False)), default=0.0)

    found = tuple(end for _, end in cuts_by_fraction(num_layers, legal, shares))[:-1]
    assert set(found) <= set(legal)
    assert distance(found) == pytest.approx(
        min(map(distance, itertools.combinations(legal, len(shares) - 1))), abs=1e-5
    )


def test_settings_that_imply_different_numbers_of_stages_are_refused() -> None:
    assert ClusterConfig("m", layers="0-1,2-3").num_stages == 2
    assert ClusterConfig("m", tensor_split="1,2,3").num_stages == 3
    assert ClusterConfig("m").num_stages is None
    for settings, message in (
        ({"layers": "0-1,2-3", "stages": 3}, "layers: 2 of them for 3 stages"),
        ({"tensor_split": "1,1", "devices": ("CPU",)}, "devices: 1 of them for 2 stages"),
        ({"layers": "0-1", "tensor_split": "1"}, "give one of the two"),
        ({"headroom": 1.0}, "headroom: 1.0"),
    ):
        with pytest.raises(UsageError, match=message):
            ClusterConfig("m", **settings)  # type: ignore[arg-type]
