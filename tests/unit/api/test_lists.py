"""Lists among the sampling parameters: what is taken, as what, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from cluster.api.errors import UsageError
from cluster.api.sampling import SamplingParams
from cluster.wire.codec.sampling import decode_sampling, encode_sampling
from ggml.sampling.params import SAMPLERS
from protos import sampling_pb2


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("logit_bias", {5: 1, 6: -math.inf}, ((5, 1.0), (6, -math.inf))),
        ("logit_bias", [[5, np.float32(0.5)], (np.int64(5), -1e6)], ((5, 0.5), (5, -1e6))),
        ("samplers", "top-k;temp; Typical_P", ("top_k", "temperature", "typ_p")),
        ("samplers", list(SAMPLERS), SAMPLERS),
        ("dry_sequence_breakers", [], ()),
        ("dry_sequence_breakers", "\n", ("\n",)),
        ("stop_token_ids", [np.int32(7), 0], (7, 0)),
        ("shown_tokens", (3,), (3,)),
        ("grammar", 'start: "a"', 'start: "a"'),
        ("stop", ["x"] * 64, ("x",) * 64),
        ("lora", {0: 1, 63: -0.5}, ((0, 1.0), (63, -0.5))),
        ("lora", [(np.int64(1), np.float32(0.5)), [0, 0]], ((1, 0.5), (0, 0.0))),
        ("lora", (), ()),
    ],
)
def test_lists_are_kept_as_tuples_and_pass_the_wire(name: str, given: Any, kept: Any) -> None:
    params = SamplingParams(**{name: given})
    assert getattr(params, name) == kept
    message = sampling_pb2.Sampling.FromString(encode_sampling(params).SerializeToString())
    assert decode_sampling(message) == params


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("logit_bias", [5]),
        ("logit_bias", [(5,)]),
        ("logit_bias", [(5, 1, 2)]),
        ("logit_bias", [(5, math.inf)]),
        ("logit_bias", [(5, math.nan)]),
        ("logit_bias", [(5, 2e6)]),
        ("logit_bias", [(-1, 1)]),
        ("logit_bias", [(5, "1")]),
        ("logit_bias", [(5, True)]),
        ("logit_bias", [("5", 1)]),
        ("logit_bias", "5+1"),
        ("logit_bias", [(5, 1.0)] * 4097),
        ("samplers", ["infill"]),
        ("samplers", ["top_k", "top-k"]),
        ("samplers", [1]),
        ("samplers", 1),
        ("dry_sequence_breakers", ["x" * 65]),
        ("dry_sequence_breakers", [""]),
        ("dry_sequence_breakers", ["x"] * 65),
        ("stop_token_ids", 5),
        ("stop_token_ids", [True]),
        ("stop_token_ids", [2**31]),
        ("stop_token_ids", [0] * 257),
        ("shown_tokens", [1.0]),
        ("shown_tokens", [0] * 1025),
        ("grammar", None),
        ("grammar", "x" * (256 * 1024 + 1)),
        ("stop", ["x"] * 65),
        ("stop", ["x" * 257]),
        ("stop", 1),
        ("lora", None),
        ("lora", 1),
        ("lora", [0]),
        ("lora", [(0,)]),
        ("lora", [(0, 1, 2)]),
        ("lora", [(0, math.nan)]),
        ("lora", [(0, -math.inf)]),
        ("lora", {0: 2e6}),
        ("lora", {0: None}),
        ("lora", {0: True}),
        ("lora", {0: "1"}),
        ("lora", {"0": 1}),
        ("lora", {-1: 1}),
        ("lora", {64: 1}),
        ("lora", {0.5: 1}),
        ("lora", [(0, 1), (0, 1)]),
        ("lora", [(0, 1)] * 65),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_such_list_is_refused_by_name(name: str, given: Any) -> None:
    with pytest.raises(UsageError, match=f"^{name}: .*; (give|did you mean)") as caught:
        SamplingParams(**{name: given})
    assert len(str(caught.value)) < 400


def test_a_misspelt_sampler_is_recognised() -> None:
    with pytest.raises(UsageError, match="samplers: 'top_kk' is unknown; did you mean top_k"):
        SamplingParams(samplers=("top_kk",))


@pytest.mark.parametrize("name", ["grammar", "stop", "dry_sequence_breakers"])
def test_a_lone_surrogate_is_told_of_its_parameter(name: str) -> None:
    params = SamplingParams(**{name: "a\ud800"})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"^{name}: .*lone surrogates"):
        encode_sampling(params)


def test_biases_without_their_tokens_are_refused() -> None:
    message = sampling_pb2.Sampling(logit_bias=sampling_pb2.Biases(tokens=[1, 2], biases=[0.5]))
    with pytest.raises(UsageError, match="logit_bias: 2 tokens and 1 numbers"):
        decode_sampling(message)


def test_scales_without_their_adapters_are_refused() -> None:
    message = sampling_pb2.Sampling(lora=sampling_pb2.Scales(ids=[1], scales=[0.5, 1.0]))
    with pytest.raises(UsageError, match="lora: 1 adapters and 2 scales; give one for each"):
        decode_sampling(message)
