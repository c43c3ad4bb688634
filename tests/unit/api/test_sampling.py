"""Sampling parameters: what is taken, as what, and what is refused. The native sampler takes all that passes here."""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from dataclasses import fields
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import worker_native
from cluster.api.errors import UsageError
from cluster.api.sampling import PARAM_NAMES, RANGES, SamplingParams
from cluster.cli import params
from cluster.cli.params import WITHOUT_FLAG, add_param_flags, given_params
from cluster.stage.models.sampler import native_params
from cluster.wire.codec.sampling import decode_sampling, encode_sampling
from ggml.core.errors import ArgumentError
from ggml.sampling.params import SAMPLER_NAMES
from ggml.sampling.params import SamplingParams as GgmlParams
from protos import sampling_pb2
from tests.native.conftest import sampler

REALS = [name for name, allowed in RANGES.items() if not allowed.is_whole]
WHOLES = [name for name, allowed in RANGES.items() if allowed.is_whole]
NATIVE = set(SAMPLER_NAMES)


def test_all_languages_list_the_same_parameters() -> None:
    """Python's list is the one that the codec, the stage and the flags derive theirs from."""
    assert set(sampling_pb2.Sampling.DESCRIPTOR.fields_by_name) - {"until_end"} == set(PARAM_NAMES)
    assert set(worker_native.SamplerParams.names) == set(SAMPLER_NAMES)
    numbers = {field.name for field in fields(SamplingParams) if not isinstance(field.default, bool | tuple | str)}
    assert set(RANGES) == numbers


def test_every_parameter_has_a_flag_that_explains_it() -> None:
    parser = argparse.ArgumentParser()
    add_param_flags(parser)
    flags = {action.dest: action for action in parser._actions if action.dest != "help"}
    assert set(flags) == set(PARAM_NAMES) - set(WITHOUT_FLAG)
    assert all(action.help for action in flags.values())
    assert given_params(parser.parse_args([])) == SamplingParams()


def test_a_parameter_that_only_has_a_range_gets_its_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(params, "_SPELLINGS", {})
    parser = argparse.ArgumentParser()
    add_param_flags(parser)
    given = parser.parse_args(["--top-p", "0.5", "--repeat-last-n", "-1", "--stop", "end", "--ignore-eos"])
    assert given_params(given) == SamplingParams(top_p=0.5, repeat_last_n=-1, stop=("end",), ignore_eos=True)
    assert "a number from 0 to 1 (default: 0.95)" in parser.format_help()


def takes(make: Any, name: str, value: Any) -> bool:
    try:
        make(**{name: value})
    except ValueError:
        return False
    return True


def around(low: float, high: float) -> list[float]:
    """Both bounds, the numbers beside them, and those that are easily taken for one."""
    near = [math.nextafter(bound, toward) for bound in (low, high) for toward in (-math.inf, math.inf)]
    return [low, high, *near, -0.0, 5e-324, -5e-324, math.inf, -math.inf, math.nan, 1e308, -1e308]


@pytest.mark.parametrize("name", REALS)
def test_both_sides_of_the_wire_have_the_same_bounds(name: str) -> None:
    allowed = RANGES[name]
    for value in around(allowed.low, allowed.high):
        expected = allowed.low <= value <= allowed.high
        assert takes(SamplingParams, name, value) == expected, value
        assert name not in NATIVE or takes(sampler, name, value) == expected, value


@pytest.mark.parametrize("name", WHOLES)
def test_whole_numbers_end_at_their_bounds(name: str) -> None:
    low, high = int(RANGES[name].low), int(RANGES[name].high)
    for value in (low, low + 1, high - 1, high):
        assert getattr(SamplingParams(**{name: value}), name) == value  # type: ignore[arg-type]
        assert name not in NATIVE or takes(sampler, name, value)
    for value in (low - 3, high + 1, 2**63, 2**64, -(2**63), 10**5000, -(10**5000)):
        with pytest.raises(UsageError, match=f"^{name}: .* is out of range; give a whole number from {low} to {high}"):
            SamplingParams(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("max_tokens", -1, None),
        ("max_tokens", -2, None),
        ("top_k", -1, 0),
        ("seed", -1, None),
        ("repeat_last_n", -1, -1),
    ],
)
def test_what_llama_server_writes_for_no_limit_is_taken(name: str, given: int, kept: int | None) -> None:
    params = SamplingParams(**{name: given})  # type: ignore[arg-type]
    assert getattr(params, name) == kept
    message = sampling_pb2.Sampling.FromString(encode_sampling(params).SerializeToString())
    assert decode_sampling(message) == params


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint8, np.uint64, np.array])
@pytest.mark.parametrize("name", WHOLES)
def test_whole_numbers_of_numpy_are_kept_as_pythons(name: str, kind: Any) -> None:
    value = getattr(SamplingParams(**{name: kind(2)}), name)
    assert (type(value), value) == (int, 2)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble, np.array, np.int64, Fraction, int])
@pytest.mark.parametrize("name", REALS)
def test_real_numbers_of_numpy_are_kept_as_pythons(name: str, kind: Any) -> None:
    given = 1 if kind in (np.int64, int) else 0.5
    value = getattr(SamplingParams(**{name: kind(given)}), name)
    assert (type(value), value) == (float, given)


@pytest.mark.parametrize("value", [np.True_, np.array(True), True])
def test_a_flag_of_numpy_is_a_flag_and_no_number(value: Any) -> None:
    assert SamplingParams(ignore_eos=value).ignore_eos is True
    for name in RANGES:
        with pytest.raises(UsageError, match=f"^{name}: .*True.* is not a (whole )?number; give"):
            SamplingParams(**{name: value})


@pytest.mark.parametrize(
    "value",
    ["1", b"1", None, [], [1], (1,), np.array([1]), np.array([[1]]), np.array("1"), 1j, np.complex64(1), object(), int],
)
@pytest.mark.parametrize("name", [*RANGES, "ignore_eos"])
def test_what_is_no_number_is_refused_by_name(name: str, value: Any) -> None:
    if value is None and name in ("max_tokens", "seed", "prompt_logprobs"):
        return
    with pytest.raises(UsageError, match=f"^{name}: "):
        SamplingParams(**{name: value})


@pytest.mark.parametrize("value", [1.0, np.float64(1), np.array(1.5), math.nan])
@pytest.mark.parametrize("name", [*WHOLES, "ignore_eos"])
def test_a_real_number_is_not_taken_for_a_whole_one(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"^{name}: "):
        SamplingParams(**{name: value})


def test_there_is_no_negative_zero() -> None:
    assert math.copysign(1, SamplingParams(temperature=-0.0).temperature) == 1


# Near the bounds, and at the ends of the types that a number goes through on its way.
_ODD = [0.0, -0.0, 5e-324, 1e-45, 1.2e-38, 2e-38, 1e-5, 0.01, 1 - 2**-53, 1 - 2**-24, 1.0, 1 + 2**-52, 99.99999, 100.0]


def _any_of(name: str) -> st.SearchStrategy[Any]:
    allowed = RANGES[name]
    if allowed.is_whole:
        return st.integers(int(allowed.low), int(allowed.high)) | st.sampled_from([0, 1, 2, int(allowed.high)])
    return st.floats(allowed.low, allowed.high) | st.sampled_from(
        [value for value in (*_ODD, *(-value for value in _ODD)) if allowed.low <= value <= allowed.high]
    )


PARAMS = st.builds(
    SamplingParams,
    **{name: _any_of(name) for name in RANGES},
    stop=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), max_size=3),
    ignore_eos=st.booleans(),
)


@settings(max_examples=1000)
@example(SamplingParams(repeat_penalty=1e-3, seed=0))
@given(PARAMS)
def test_whatever_passes_here_passes_the_wire_and_the_native_side(params: SamplingParams) -> None:
    message = sampling_pb2.Sampling.FromString(encode_sampling(params).SerializeToString())
    received = decode_sampling(message)
    assert received == params
    native_params(received)


def test_choices_of_the_same_prompt_draw_with_seeds_that_follow_each_other() -> None:
    assert [SamplingParams(seed=7).of_choice(choice).seed for choice in range(3)] == [7, 8, 9]
    assert SamplingParams(seed=2**63 - 1).of_choice(1).seed == 0
    assert SamplingParams().of_choice(1).seed is None


def test_parameters_are_those_of_ggml_and_of_a_service() -> None:
    """One class has what both follow, in the same words; what it refuses is a UsageError here."""
    shared = {field.name: field.default for field in fields(GgmlParams)}
    assert shared.items() <= {field.name: field.default for field in fields(SamplingParams)}.items()
    assert issubclass(SamplingParams, GgmlParams)
    for name, wrong in (("top_p", 2), ("stop", ""), ("samplers", ["x"]), ("ignore_eos", 1), ("logit_bias", 3)):
        with pytest.raises(ArgumentError) as ours:
            GgmlParams(**{name: wrong})
        with pytest.raises(UsageError) as theirs:
            SamplingParams(**{name: wrong})
        assert str(ours.value) == str(theirs.value)


def test_parameters_need_nothing_native() -> None:
    code = "import sys, cluster.api.sampling; sys.exit(bool({'worker_native', 'numpy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
