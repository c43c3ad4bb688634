"""What people paste from llama-server and llama-cli: taken with its meaning, or one line that says what to do."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from cluster.api.errors import UsageError
from cluster.api.sampling import SamplingParams
from cluster.cli.command import build_parser, main, verb_parsers
from cluster.cli.llama_flags import REASONS
from cluster.cli.params import given_params
from cluster.cli.pasted import prepared
from cluster.cli.run import _prompt
from cluster.cli.settings import given_settings
from cluster.config import ClusterConfig, load_config


def parsed(*arguments: str) -> Any:
    parser = build_parser()
    return parser.parse_args(prepared(arguments, verb_parsers(parser)))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("-n -1", {"max_tokens": None}),
        ("-n -2", {"max_tokens": None}),
        ("--n-predict 7", {"max_tokens": 7}),
        ("--predict=7", {"max_tokens": 7}),
        ("-n7", {"max_tokens": 7}),
        ("--seed -1", {"seed": None}),
        ("-s 42", {"seed": 42}),
        ("--top-k 0", {"top_k": 0}),
        ("--top-k -1", {"top_k": 0}),
        ("--top-p 1.0", {"top_p": 1.0}),
        ("--min-p 0", {"min_p": 0.0}),
        ("--repeat-last-n -1", {"repeat_last_n": -1}),
        ("--repeat-last-n 0", {"repeat_last_n": 0}),
        ("--temperature 0.2", {"temperature": 0.2}),
        ("--temp 0", {"temperature": 0.0}),
        ("--repeat-penalty 1.0 --presence-penalty 0 --frequency-penalty -0.5", {"frequency_penalty": -0.5}),
        ("--ignore-eos -no-cnv", {"ignore_eos": True}),
        ("-r User: --stop end", {"stop": ("User:", "end")}),
        ("--typical 0.9 --top-nsigma 1.5", {"typical_p": 0.9, "top_n_sigma": 1.5}),
        ("--xtc-probability 0.5 --xtc-threshold 0.2", {"xtc_probability": 0.5, "xtc_threshold": 0.2}),
        ("--dynatemp-range 0.5 --dynatemp-exp 2", {"dynatemp_range": 0.5, "dynatemp_exponent": 2.0}),
        ("--dry-multiplier 0.8 --dry-penalty-last-n -1", {"dry_multiplier": 0.8, "dry_penalty_last_n": -1}),
        ("--dry-sequence-breaker x --dry-sequence-breaker y", {"dry_sequence_breakers": ("x", "y")}),
        ("--dry-sequence-breaker none", {"dry_sequence_breakers": ()}),
        ("--mirostat 2 --mirostat-lr 0.2 --mirostat-ent 4", {"mirostat": 2, "mirostat_eta": 0.2, "mirostat_tau": 4.0}),
        ("--adaptive-target 0.4 --adaptive-decay 0.5", {"adaptive_target": 0.4, "adaptive_decay": 0.5}),
        ("--samplers top_k;temperature", {"samplers": ("top_k", "temperature")}),
        ("-l 15043+1 --logit-bias 7-0.5 -l 8-inf", {"logit_bias": ((15043, 1.0), (7, -0.5), (8, -math.inf))}),
        ("--min-tokens 3 --stop-token-id 4 --stop-token-id 5", {"min_tokens": 3, "stop_token_ids": (4, 5)}),
    ],
)
def test_sampling_flags_mean_what_they_mean_there(flags: str, expected: dict[str, Any]) -> None:
    params = given_params(parsed("run", "hello", *flags.split()))
    assert params == SamplingParams(**expected)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("-c 0", {"ctx_size": 0}),
        ("-c 512 -np -1 -t -1", {"ctx_size": 512}),
        ("-t 0", {}),
        ("-fa on", {"flash_attn": "on"}),
        ("-fa 1 -np 2", {"flash_attn": "on", "parallel": 2}),
        ("-np 2 -fa", {"flash_attn": "on", "parallel": 2}),
        ("-fa 0", {"flash_attn": "off"}),
        ("-fa disabled", {"flash_attn": "off"}),
        ("--flash-attn -1", {"flash_attn": "auto"}),
        ("-ctk Q8_0 -ctv q8_0", {"cache_type_k": "q8_0", "cache_type_v": "q8_0"}),
        ("-ngl 99 -sm layer -cb --mmap --no-warmup", {}),
        ("-ngl all", {}),
        ("-b 2048", {"ubatch_size": 512}),
        ("-b 256", {"ubatch_size": 256}),
        ("-b 2048 -ub 1024", {"ubatch_size": 1024}),
        ("-ts 3/1", {"tensor_split": "3/1"}),
        ("-dev none", {"devices": ("CPU",)}),
        ("--device CPU,CPU", {"devices": ("CPU", "CPU")}),
    ],
)
def test_settings_mean_what_they_mean_there(flags: str, expected: dict[str, Any]) -> None:
    options = parsed("plan", "/m.gguf", *flags.split())
    settings = given_settings(options)
    assert load_config(None, settings) == ClusterConfig(model="/m.gguf", **expected)


@pytest.mark.parametrize(
    ("flags", "draft"),
    [
        ("--spec-type none", "off"),
        ("--spec-type ngram-simple", "ngram"),
        ("--draft ngram", "ngram"),
        ("--draft auto", "auto"),
        ("--draft /d.gguf", "/d.gguf"),
        ("-md /d.gguf", "/d.gguf"),
        ("--model-draft hf:org/repo:Q4_K_M", "hf:org/repo:Q4_K_M"),
        ("--spec-draft-model https://host/d.gguf", "https://host/d.gguf"),
        ("--draft d.gguf", str(Path("d.gguf").absolute())),
    ],
)
def test_drafts_are_asked_for_by_all_names(flags: str, draft: str) -> None:
    given = given_settings(parsed("up", "/m.gguf", *flags.split()), ("draft",))
    assert load_config(None, given).draft == draft


def test_the_device_of_a_model_that_drafts() -> None:
    for given, device in (("-devd none", "CPU"), ("--draft-device CUDA1", "CUDA1")):
        settings = given_settings(parsed("up", "/m.gguf", *given.split()), ("draft_device",))
        assert load_config(None, settings).draft_device == device


def test_a_number_of_drafted_tokens_is_refused() -> None:
    given = given_settings(parsed("up", "/m.gguf", "--draft", "16"), ("draft",))
    with pytest.raises(UsageError, match=r"draft: '16'.*auto, ngram"):
        load_config(None, given)


def test_adapters_are_repeated_each_with_its_scale() -> None:
    options = parsed("up", "/m.gguf", "--lora", "/a.gguf", "--lora-scaled", "/b.gguf:0.5")
    given = given_settings(options, ("lora",))
    assert load_config(None, given).lora == ("/a.gguf:1.0", "/b.gguf:0.5")


@pytest.mark.parametrize("flags", ["-m /m.gguf", "--model /m.gguf", "/m.gguf", "-mu /m.gguf"])
def test_the_model_is_named_as_there(flags: str) -> None:
    assert given_settings(parsed("plan", *flags.split()))["model"] == "/m.gguf"


@pytest.mark.parametrize(
    ("text", "value"), [("true", "on"), ("1", "on"), ("false", "off"), ("'auto'", "auto"), ("-1", "auto")]
)
def test_the_file_takes_the_same_values(text: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(f"model = '/m.gguf'\nflash-attn = {text}\nctx-size = 0\nparallel = -1\nthreads = -1\n")
    expected = ClusterConfig(model="/m.gguf", ctx_size=0, flash_attn=value)  # type: ignore[arg-type]
    assert load_config(str(path), {}) == expected
    assert expected.flash_attn == value


@pytest.mark.parametrize(
    "arguments",
    [
        ["-hello"],
        ["--hello there"],
        ["-n", "3", "-hello"],
        ["-hello", "-n", "3"],
        ["- a list", "--temp", "0"],
        ["--", "-hello"],
        ["--prompt=-hello"],
    ],
)
def test_a_prompt_may_begin_with_a_dash(arguments: list[str]) -> None:
    options = parsed("run", *arguments)
    assert _prompt(options).startswith("-")
    assert "el" in _prompt(options) or "list" in _prompt(options)


def test_a_prompt_comes_from_one_place(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text("Once upon\na time\n")
    assert _prompt(parsed("run", "-f", str(path))) == "Once upon\na time"
    assert _prompt(parsed("run", "-p", "Once")) == "Once"
    for wrong in ([], ["a", "-p", "b"], ["-p", "b", "-f", str(path)], ["-f", str(tmp_path)]):
        with pytest.raises(UsageError, match=r"^prompt: "):
            _prompt(parsed("run", *wrong))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "x", "-c", "512"], "-c: not of cluster run; give it to cluster up"),
        (["run", "x", "-ngl", "99"], "-ngl: not of cluster run; give it to cluster up"),
        (["up", "m.gguf", "--temp", "0"], "--temp: not of cluster up; give it to cluster run"),
        (["up", "m.gguf", "--mlock"], "--mlock: not of cluster up: slices are mapped"),
        (["up", "m.gguf", "--api-key-file=x"], "--api-key-file: not of cluster up: give --api-key @FILE"),
        (["run", "x", "--sampler-seq", "kt"], "--sampler-seq: not of cluster run: --samplers names them in full"),
        (["run", "x", "-l", "7:1"], "'7:1' is no token id and bias; give them as 15043+1, or 15043-inf"),
        (["run", "--tmep", "1", "x"], "--tmep: unrecognized by cluster run; did you mean --temp?"),
        (["run", "--top-kk"], "--top-kk: unrecognized by cluster run; did you mean --top-k?"),
        (["up", "m.gguf", "--frobnicate"], "--frobnicate: unrecognized by cluster up; see: cluster up --help"),
        (["up", "m.gguf", "-ngl", "0"], "-ngl: 0 would leave the GPUs out; say so with --devices CPU"),
        (["up", "m.gguf", "-ngl", "many"], "-ngl: 'many' is no number of layers"),
        (["up", "m.gguf", "-sm", "row"], "row"),
    ],
)
def test_what_is_not_here_gets_one_line_that_helps(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert said in err


def test_no_flag_is_both_ours_and_explained_away() -> None:
    ours = {flag for parser in verb_parsers(build_parser()).values() for flag in parser._option_string_actions}
    assert not ours & set(REASONS)
