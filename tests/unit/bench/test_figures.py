"""Spreads, ratios and serving figures of known numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.bench.request import RequestTimes
from cluster.bench.scenarios.serve import arrival_times, serve_figures
from cluster.bench.settings import ServeSettings
from cluster.bench.spread import percentile, ratios, slope, spread


@settings(max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0, 1))
def test_percentile_is_numpys(values: list[float], fraction: float) -> None:
    assert percentile(values, fraction) == pytest.approx(float(np.quantile(values, fraction)), abs=1e-6)


def test_spread() -> None:
    found = spread([1.0, 2.0, 3.0, 10.0])
    assert found is not None
    assert (found.mean, found.median, found.low, found.high) == (4.0, 2.5, 1.0, 10.0)
    assert found.sd == pytest.approx(4.0825, abs=1e-4)
    assert spread([]) is None


def test_a_single_run_has_no_deviation() -> None:
    found = spread([7.0])
    assert found is not None
    assert (found.mean, found.sd, found.p99) == (7.0, 0.0, 7.0)


def test_ratios_pair_the_runs() -> None:
    """The median of ratios is not the ratio of medians: a slow phase of the machine hits both of a pair."""
    found = ratios([10.0, 5.0, 12.0], [5.0, 2.5, 12.0])
    assert found is not None
    assert (found.median, found.low, found.high) == (2.0, 1.0, 2.0)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, unique_by=lambda pair: round(pair[0]))
)
def test_slope_is_numpys(points: list[tuple[float, float]]) -> None:
    xs, ys = zip(*points, strict=True)
    assert slope(xs, ys) == pytest.approx(float(np.polyfit(xs, ys, 1)[0]), rel=1e-4, abs=1e-4)


def test_slope_of_one_place_is_flat() -> None:
    assert slope([2.0, 2.0], [1.0, 5.0]) == 0.0


def test_serving_figures() -> None:
    requests = [
        RequestTimes(num_prompt_tokens=3, sent_s=10.0, token_s=(10.5, 10.6, 10.8)),
        RequestTimes(num_prompt_tokens=5, sent_s=11.0, token_s=(11.1, 12.0)),
    ]
    figures = serve_figures(requests)
    assert figures.duration_s == pytest.approx(2.0)
    assert (figures.num_input_tokens, figures.num_output_tokens) == (8, 5)
    assert figures.requests_per_s == pytest.approx(1.0)
    assert figures.output_tokens_per_s == pytest.approx(2.5)
    assert figures.total_tokens_per_s == pytest.approx(6.5)
    assert figures.ttft_ms is not None
    assert figures.ttft_ms.mean == pytest.approx(300)
    assert figures.tpot_ms is not None
    assert figures.tpot_ms.mean == pytest.approx((150 + 900) / 2)
    assert figures.itl_ms is not None
    assert figures.itl_ms.median == pytest.approx(200)


def test_a_request_of_one_token_has_no_gaps() -> None:
    figures = serve_figures([RequestTimes(3, 0.0, (0.5,))])
    assert figures.tpot_ms is None
    assert figures.itl_ms is None


def test_arrivals_have_the_asked_rate() -> None:
    times_s = arrival_times(ServeSettings(request_rate=4.0, num_prompts=4001))
    assert times_s[0] == 0
    assert times_s == sorted(times_s)
    assert times_s[-1] == pytest.approx(1000, rel=0.05)  # the seed is fixed
    assert arrival_times(ServeSettings(concurrency=2, num_prompts=3)) == [0, 0, 0]
