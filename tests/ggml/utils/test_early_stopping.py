"""When training should stop."""

from __future__ import annotations

import math

import pytest

import ggml
from ggml.utils import EarlyStopping


def test_it_stops_after_patience_epochs_without_better() -> None:
    stopping = EarlyStopping(patience=2, min_delta=0.1)
    values = [1.0, 0.95, 0.85, 0.8, 0.8, math.nan]
    assert [stopping.step(value) for value in values] == [False, False, False, False, False, True]
    assert stopping.best == 0.85 and stopping.num_bad_epochs == 3 and stopping.should_stop
    assert not stopping.step(ggml.tensor(0.5)) and stopping.best == 0.5


def test_more_may_be_better_and_state_goes_on() -> None:
    stopping = EarlyStopping(patience=0, mode="max")
    assert stopping.step(math.nan)
    stopping = EarlyStopping(patience=1, mode="max")
    assert [stopping.step(value) for value in (0.1, 0.2, 0.2)] == [False, False, False]
    again = EarlyStopping(patience=1, mode="max")
    again.load_state_dict(stopping.state_dict())
    assert again.step(0.1) and again.best == 0.2
    with pytest.raises(ggml.StateDictError, match="num_bad_epochs"):
        again.load_state_dict({"best": 1.0})


@pytest.mark.parametrize("wrong", [{"patience": -1}, {"min_delta": math.nan}, {"mode": "least"}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ggml.ArgumentError):
        EarlyStopping(**wrong)  # type: ignore[arg-type]
