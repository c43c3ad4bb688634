"""What `cluster bench` is asked to do: rows, context, slots, and the questions it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.api.errors import UsageError
from cluster.bench.counts import parse_counts, parse_pair
from cluster.bench.options import ChunkingSettings, GapsSettings, PrefixSettings, SoakSettings
from cluster.bench.peers.commands import WholeOrders
from cluster.bench.settings import BenchSettings, ServeSettings
from cluster.bench.subject import chunking_arguments, up_arguments
from cluster.bench.workload import Workload, random_prompt, workload_prompts, workloads
from cluster.cli.command import main


def test_rows_in_llama_benchs_order_and_names() -> None:
    settings = BenchSettings("m", prompt_lengths=(512, 2048), decode_lengths=(32,), streams=(1, 8))
    assert [workload.name for workload in workloads(settings)] == ["pp512", "pp2048", "tg32 x1", "tg32 x8"]
    assert workloads(BenchSettings("m", (0,), (16,))) == [Workload("tg", 16, 1)]


def test_rows_computed_are_the_tokens_counted() -> None:
    """The last token that is drawn is never computed, so prompt and answer are one row longer than what is."""
    for workload in (Workload("pp", 512, 1), Workload("tg", 32, 8)):
        rows = (workload.prompt_length + workload.max_tokens - 1) * workload.num_streams
        assert rows == workload.num_counted_tokens


def test_context_and_slots_follow_from_the_rows() -> None:
    settings = BenchSettings("m", (512, 2048), (128,), (1, 32))
    assert (settings.num_context_tokens, settings.num_slots) == (2304, 32), "the first token of 2048 has to fit, too"
    serving = BenchSettings("m", (0,), (0,), serve=ServeSettings(concurrency=6, input_length=200, output_length=100))
    assert (serving.num_context_tokens, serving.num_slots) == (512, 6)


def test_scenarios_get_the_context_and_the_slots_they_need() -> None:
    none = {"prompt_lengths": (0,), "decode_lengths": (0,)}
    gaps = BenchSettings("m", **none, gaps=GapsSettings(8, 2048))
    assert (gaps.num_context_tokens, gaps.num_slots) == (2304, 9)
    prefix = BenchSettings("m", **none, prefix=PrefixSettings(1500))
    assert (prefix.num_context_tokens, prefix.num_slots) == (1536, 2)
    soak = BenchSettings("m", **none, soak=SoakSettings(2000, 16))
    assert (soak.num_context_tokens, soak.num_slots) == (256, 16)
    arriving = BenchSettings("m", **none, serve=ServeSettings(request_rate=2.0))
    assert arriving.num_slots == 8
    alone = BenchSettings("m", **none, chunking=ChunkingSettings())
    assert not alone.measures_cluster
    assert all(one.measures_cluster for one in (gaps, prefix, soak, arriving, BenchSettings("m")))


def test_cores_are_lent_unless_told_otherwise() -> None:
    assert "--no-lend-cores" not in up_arguments(BenchSettings("m.gguf"))
    assert up_arguments(BenchSettings("m.gguf", lends_cores=False))[-1] == "--no-lend-cores"


def test_rounding_is_allowed_by_whoever_says_so() -> None:
    assert "--allow-rounding" not in up_arguments(BenchSettings("m.gguf"))
    allowed = BenchSettings("m.gguf", allows_rounding=True, streams=(8,), stages=2)
    assert "--allow-rounding" in up_arguments(allowed)
    assert "--allow-rounding" in chunking_arguments(allowed, 8448, pipelined=True)


def test_the_two_clusters_of_chunking_differ_in_one_flag() -> None:
    settings = BenchSettings("m.gguf", streams=(8,), stages=2)
    several, single = (chunking_arguments(settings, 8448, pipelined) for pipelined in (True, False))
    assert several == [
        "m.gguf",
        "--stages",
        "2",
        "--ctx-size",
        "8448",
        "--parallel",
        "1",
        "--http",
        "off",
        "--no-lend-cores",
    ]
    assert single == [*several, "--no-pipeline-prompts"]


def test_the_cluster_is_asked_for_what_was_asked() -> None:
    settings = BenchSettings("m.gguf", (64,), (16,), (4,), stages=2, threads=1)
    arguments = up_arguments(settings)
    assert arguments[0] == "m.gguf"
    assert dict(zip(arguments[1::2], arguments[2::2], strict=True)) == {
        "--stages": "2",
        "--threads": "1",
        "--ctx-size": "256",
        "--parallel": "4",
        "--draft": "off",
        "--http": "off",
    }
    drafting = up_arguments(BenchSettings("m.gguf", draft="ngram"))
    assert drafting[drafting.index("--draft") + 1] == "ngram"


@pytest.mark.parametrize(
    "settings",
    [
        {"prompt_lengths": (0,), "decode_lengths": (0,)},
        {"prompt_lengths": (2048,), "context_length": 1024},
        {"streams": (0,)},
        {"streams": (1000,)},
        {"repetitions": 0},
        {"decode_lengths": (-1,)},
        {"gaps": GapsSettings(8, 2048), "context_length": 2048},
    ],
)
def test_impossible_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        BenchSettings("m", **settings)


@pytest.mark.parametrize("load", [{}, {"concurrency": 1, "request_rate": 1.0}, {"request_rate": 0.0}])
def test_impossible_load(load: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ServeSettings(**load)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (GapsSettings, (0,)),
        (GapsSettings, (8, 0)),
        (PrefixSettings, (0,)),
        (ChunkingSettings, (1,)),
        (SoakSettings, (5,)),
        (SoakSettings, (100, 0)),
    ],
)
def test_impossible_scenarios(kind: type[Any], arguments: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="out of range"):
        kind(*arguments)


def test_pairs() -> None:
    assert parse_pair("--gaps", "4", 2048) == (4, 2048)
    assert parse_pair("--gaps", "4,4", 2048) == (4, 4)
    for text in ("1,2,3", "a", ""):
        with pytest.raises(UsageError, match="--gaps"):
            parse_pair("--gaps", text, 1)


def test_counts() -> None:
    assert parse_counts("-np", "1,8,8,16") == (1, 8, 16)
    with pytest.raises(UsageError, match="-np"):
        parse_counts("-np", "1,x")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["bench"], "--synthetic"),
        (["bench", "--demo", "--synthetic", "1b:Q4_0"], "--demo"),
        (["bench", "--synthetic", "9b:Q4_0"], "9b:Q4_0"),
        (["bench", "--synthetic", "1b:Q2_X"], "1b:Q2_X"),
        (["bench", "missing.gguf"], "missing.gguf"),
        (["bench", "--demo", "-p", "x"], "-p"),
        (["bench", "--demo", "--concurrency", "1", "--request-rate", "1"], "--request-rate"),
        (["bench", "--demo", "--gaps", "0"], "gaps"),
        (["bench", "--demo", "--soak", "5"], "soak"),
    ],
)
def test_wrong_usage(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert named in err


def test_prompts_differ_by_seed_and_keep_off_the_ends_of_the_vocabulary() -> None:
    prompt = random_prompt(1000, 200, seed=1)
    assert prompt == random_prompt(1000, 200, seed=1)
    assert prompt != random_prompt(1000, 200, seed=2)
    assert all(250 <= token < 750 for token in prompt)
    assert random_prompt(2, 3, seed=0) == [0, 0, 0]


def test_every_run_has_prompts_of_its_own_and_all_subjects_the_same() -> None:
    rows = [Workload("pp", 16, 1), Workload("tg", 8, 40)]
    seen = [
        (tuple(prompt), workload)
        for workload in rows
        for run in range(60)
        for prompt in [*workload_prompts(workload, 32000, run)]
    ]
    long = [prompt for prompt, workload in seen if workload.kind == "pp"]
    assert len(set(long)) == len(long)
    assert workload_prompts(rows[1], 32000, 7) == workload_prompts(rows[1], 32000, 7)
    # The first tokens of 40 streams differ about as often as those of any 40 random prompts.
    assert len({prompt for prompt, workload in seen[60:100]}) > 35


@pytest.mark.parametrize("layers", [(11, 11), (4, 4), (3, 7, 2), (1, 1, 1, 1), (22,)])
def test_rpc_peers_are_cut_where_the_stages_are(layers: tuple[int, ...]) -> None:
    """By llama.cpp's rule: layer i goes to the first device whose cumulated share exceeds i / (layers + 1)."""
    orders = WholeOrders("m", 256, 1, 1, layers=layers)
    split = orders.tensor_split
    cumulated = [sum(split[: device + 1]) / sum(split) for device in range(len(split))]
    num_layers = sum(layers)
    found = [
        next(device for device, share in enumerate(cumulated) if share > layer / (num_layers + 1))
        for layer in range(num_layers + 1)
    ]
    expected = [device for device, count in enumerate(layers) for _ in range(count)]
    assert found == [*expected, len(layers) - 1]  # the head is on the last one
    assert WholeOrders.from_json(orders.to_json()) == orders
