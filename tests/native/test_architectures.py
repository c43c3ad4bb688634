"""Every architecture's tiny model gives the same logits cut as whole, bit for bit, or is refused with a reason."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.cutting.architectures import ARCHITECTURES
from tests.native.arch_matrix import SAVED, chains
from tests.native.arch_models import architecture_of, descriptions
from tests.native.architectures_counts import COUNTS
from tests.native.architectures_page import PAGE, outcome_of, page
from tests.native.architectures_uncut import UNCUT
from tests.quick import some_quick

pytestmark = pytest.mark.native

NAMES = sorted(descriptions())
# As llama.cpp's saver writes them, with every key that it knows, whether the architecture reads it or not.
_TO_SAVE = """
bloom-dense deepseek2-moe falcon-h1-dense gemma2-dense gpt-oss-moe granite-deepstack jamba-dense llama-dense
mamba2-dense qwen35moe-moe
"""
SAVED_NAMES = [f"{name}{SAVED}" for name in _TO_SAVE.split()]
# One or two of each way in which layers hang together; the others are slow.
_QUICK = """
afmoe-moe baichuan-alibi baichuan-rotary bailingmoe3-moe bloom-dense cogvlm-dense deepseek2-moe deepseek4-moe
exaone4-32b falcon-h1-dense gemma2-27b gemma2-dense gemma3-27b gemma3n-dense gemma4-both gemma4-dense glm4moe-nextn
gpt-oss-moe granite-deepstack graniteswitch-dense hrm_text-dense jamba-dense kimi-k3-blocks kimi-linear-moe
llama-dense llama4-moe mamba2-dense minicpm3-dense minimax-01-moe mpt-dense nemotron_h-dense phi3-dense plamo2-dense
qwen2vl-dense qwen35moe-moe qwen3next-moe qwen4exp-later rwkv6-dense rwkv6-rescale rwkv6qwen2-dense rwkv7-dense
smallthinker-moe talkie-dense
"""
QUICK = set(_QUICK.split())
QUICK_SAVED = {"deepseek2-moe+saved", "gemma2-dense+saved", "llama-dense+saved"}
REFUSED = {
    "command-r-plus": "in another order .* give --allow-rounding",
    "dream-dense": "not causal",
    "hrm_text-dense": "run in turns",
    "llada-dense": "not causal",
    "llada-moe-moe": "not causal",
    "plm-dense": "libllama stops the process",
    "rnd1-moe": "not causal",
    "smallthinker-moe": "in a way of their own",
}


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """name -> what `arch_matrix` says of it, all that are tested run at once."""
    here = [item for item in request.session.items if item.path == Path(__file__) and hasattr(item, "callspec")]
    names = {item.callspec.params["name"] for item in here}
    names |= {name.removesuffix(SAVED) for name in names}
    folder = tmp_path_factory.mktemp("architectures")
    command = [sys.executable, "-m", "tests.native.arch_matrix", str(folder), *sorted(names)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {outcome["name"]: outcome for outcome in found}


@pytest.mark.parametrize("name", some_quick(SAVED_NAMES, QUICK_SAVED))
def test_a_model_that_llama_cpp_saved_is_cut_like_any_other(name: str, outcomes: dict[str, dict[str, Any]]) -> None:
    outcome = outcomes[name]
    assert (outcome["state"], outcome["reason"]) == ("exact", ""), outcome
    assert outcome["cuts"] == outcomes[name.removesuffix(SAVED)]["cuts"]


@pytest.mark.parametrize("name", some_quick(NAMES, QUICK))
def test_cut_equals_whole_or_is_refused(name: str, outcomes: dict[str, dict[str, Any]]) -> None:
    outcome = outcomes[name]
    if name in REFUSED:
        assert outcome["state"] == "refused", outcome
        assert re.search(REFUSED[name], outcome_of(name)[1])
    else:
        assert (outcome["state"], outcome["reason"]) == ("exact", ""), outcome
        assert outcome["tried"] == [list(chain) for chain in chains(outcome["cuts"])]
    predicted, reported = outcome["cache_bytes"]
    assert predicted == reported
    assert reported > 0 or ARCHITECTURES[architecture_of(name)].refusal


def test_every_architecture_that_may_be_cut_has_a_tiny_model() -> None:
    tried = {architecture_of(name) for name in NAMES}
    assert tried <= set(ARCHITECTURES)
    elsewhere = {name for name, row in ARCHITECTURES.items() if row.refusal or row.is_encoder or row.encodes_prompt}
    assert set(ARCHITECTURES) - elsewhere <= tried


def test_what_depends_on_the_number_of_layers_is_explained() -> None:
    told = " ".join(source for source, _, _ in COUNTS).replace("-", "").replace("_", "")
    for name, row in ARCHITECTURES.items():
        if (
            row.counts
            or row.at_least
            or row.factor
            or row.period > 1
            or row.period_key
            or (row.whole and not row.is_encoder)
            or row.hands_on_first
            or row.encodes_prompt
        ):
            assert f"{name.replace('-', '').replace('_', '')}.cpp" in told, name


def test_all_that_are_told_to_stay_whole_do() -> None:
    for name, *_ in UNCUT:
        row = ARCHITECTURES[name]
        assert row.refusal or row.whole or row.rounded, name


def test_quick_ones_are_there() -> None:
    assert not QUICK - set(NAMES)
    assert not QUICK_SAVED - set(SAVED_NAMES)


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.native.architectures_page"
