"""``cluster bench``: measure a model on this machine, and llama.cpp beside it."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cluster.api.errors import UsageError
from cluster.terminal.activity import clear_line

if TYPE_CHECKING:
    from cluster.bench.settings import BenchSettings, ServeSettings


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "bench",
        help="measure throughput and latency",
        description="Start a cluster of its own, measure it through the client, and take it down. Rows are named as "
        "llama-bench names them: pp512 is a prompt of 512 tokens, tg128 x8 is 128 tokens by each of 8 streams.",
    )
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL.gguf", help="the model to measure")
    add("--demo", action="store_true", help="measure the small model that ships with the package")
    add("--synthetic", metavar="SIZE:TYPE", help="random weights: 300m, 1b, 3b or 8b in Q4_0, Q8_0, Q4_K or F16")
    add("-p", "--n-prompt", metavar="N,...", help="prompt lengths; 0 for none (default: 512)")
    add("-n", "--n-gen", metavar="N,...", help="tokens to generate per stream; 0 for none (default: 128)")
    add("-np", "--parallel", metavar="N,...", help="numbers of streams (default: 1)")
    add("-r", "--repetitions", type=int, default=5, metavar="N", help="runs of each row (default: 5)")
    add("-o", "--output", choices=("md", "json"), default="md")
    add("--compare", action="store_true", help="llama.cpp in one process and over its RPC, run beside run")
    add("--write", metavar="FILE.md", help="also keep the results in this file, with a plot beside it")
    cluster = parser.add_argument_group("the cluster, as for `cluster up`")
    cluster.add_argument("--stages", type=int, metavar="N")
    cluster.add_argument("--devices", metavar="A,B,...")
    cluster.add_argument("-t", "--threads", type=int, metavar="N", help="CPU threads per stage")
    cluster.add_argument("-c", "--ctx-size", type=int, metavar="N", help="tokens per slot (default: what is needed)")
    cluster.add_argument("-ub", "--ubatch-size", type=int, metavar="N")
    cluster.add_argument("-ctk", "--cache-type-k", metavar="TYPE")
    cluster.add_argument("-ctv", "--cache-type-v", metavar="TYPE")
    cluster.add_argument("-fa", "--flash-attn", metavar="on|off|auto")
    cluster.add_argument("--draft", metavar="auto|ngram|off|MODEL", default="off", help="(default: off)")
    cluster.add_argument("--allow-rounding", action="store_true")
    cluster.add_argument("--lend-cores", action=argparse.BooleanOptionalAction, default=True)
    serve = parser.add_argument_group("serving, as `vllm bench serve` measures it; with one of the first two")
    serve.add_argument("--concurrency", type=int, metavar="N", help="requests open at any time")
    serve.add_argument("--request-rate", type=float, metavar="R", help="requests that arrive per second (Poisson)")
    serve.add_argument("--num-prompts", type=int, default=32, metavar="N", help="requests in all (default: 32)")
    serve.add_argument("--input-len", type=int, default=128, metavar="N", help="tokens per prompt (default: 128)")
    serve.add_argument("--output-len", type=int, default=128, metavar="N", help="tokens per answer (default: 128)")
    more = parser.add_argument_group("scenarios, a table each; instead of the rows unless -p or -n is given")
    more.add_argument(
        "--gaps",
        nargs="?",
        const="8",
        metavar="STREAMS[,TOKENS]",
        help="gaps of running streams while a long prompt arrives (default: 8,2048)",
    )
    more.add_argument("--prefix", type=int, metavar="N", help="first token of a prompt whose first N tokens are known")
    more.add_argument(
        "--chunking",
        nargs="?",
        const=8192,
        type=int,
        metavar="TOKENS",
        help="first token of a long prompt, its chunks pipelined or one at a time (default: 8192)",
    )
    more.add_argument(
        "--http",
        nargs="?",
        const="32",
        metavar="STREAMS[,TOKENS]",
        help="streams over HTTP beside as many through the Python client, and what `vllm bench serve` would print of "
        "them (default: 32,128)",
    )
    more.add_argument(
        "--soak",
        metavar="REQUESTS[,STREAMS]",
        help="growth of memory and step time over many short requests (8 at a time, or --concurrency)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    _check_one_model(options)
    serve = _serve_settings(options)
    settings = _settings(options, model="", serve=serve, scenarios=_scenarios(options))

    from dataclasses import replace
    from datetime import datetime

    from cluster.bench.report.document import write_document
    from cluster.bench.report.tables import to_json, to_markdown
    from cluster.bench.suite import run_suite

    # An ended `bench` must unwind: it has children.
    signal.signal(signal.SIGTERM, _interrupt)
    settings = replace(settings, model=_model(options))
    command = shlex.join(["cluster", *sys.argv[1:]])
    report = run_suite(settings, command, datetime.now().astimezone().strftime("%Y-%m-%d"), _note)
    print(to_json(report) if options.output == "json" else to_markdown(report), end="")
    if options.write and (report.interrupted or report.is_empty):
        _note(f"not written to {options.write}: it would replace what was measured to the end")
    elif options.write:
        write_document(Path(options.write), report)
        _note(f"written to {options.write}")
    if report.interrupted:
        raise KeyboardInterrupt
    return 1 if report.failed else 0


def _check_one_model(options: argparse.Namespace) -> None:
    if sum(map(bool, (options.model, options.demo, options.synthetic))) != 1:
        raise UsageError("bench: name one of MODEL.gguf, --demo and --synthetic SIZE:TYPE")


def _model(options: argparse.Namespace) -> str:
    """Path of the model; a synthetic one is written first."""
    if options.demo:
        from cluster.demo import model_path

        return str(model_path())
    if options.synthetic:
        from cluster.synthetic.model import synthetic_model

        return str(synthetic_model(options.synthetic, _note))
    path = Path(options.model).expanduser().absolute()
    if not path.is_file():
        raise UsageError(f"{path}: no such file; name a GGUF, or use --synthetic 1b:Q4_0")
    return str(path)


def _serve_settings(options: argparse.Namespace) -> ServeSettings | None:
    from cluster.bench.settings import ServeSettings

    if options.concurrency is None and options.request_rate is None:
        return None
    return ServeSettings(
        options.concurrency, options.request_rate, options.num_prompts, options.input_len, options.output_len
    )


def _scenarios(options: argparse.Namespace) -> dict[str, Any]:
    """Settings of those that were asked for, by their names."""
    from cluster.bench.counts import parse_pair
    from cluster.bench.options import (
        DEFAULT_ARRIVING_TOKENS,
        DEFAULT_CONCURRENCY,
        ChunkingSettings,
        GapsSettings,
        HttpBenchSettings,
        PrefixSettings,
        SoakSettings,
    )

    found: dict[str, Any] = {}
    if options.gaps is not None:
        found["gaps"] = GapsSettings(*parse_pair("--gaps", options.gaps, DEFAULT_ARRIVING_TOKENS))
    if options.prefix is not None:
        found["prefix"] = PrefixSettings(options.prefix)
    if options.chunking is not None:
        found["chunking"] = ChunkingSettings(options.chunking)
    if options.http is not None:
        found["http"] = HttpBenchSettings(*parse_pair("--http", options.http, HttpBenchSettings().num_tokens))
    if options.soak is not None:
        found["soak"] = SoakSettings(*parse_pair("--soak", options.soak, options.concurrency or DEFAULT_CONCURRENCY))
    return found


def _settings(
    options: argparse.Namespace, model: str, serve: ServeSettings | None, scenarios: dict[str, Any]
) -> BenchSettings:
    """What was asked; when only serving or scenarios are, there are no rows."""
    from cluster.bench.counts import parse_counts
    from cluster.bench.settings import BenchSettings

    asks_rows = options.n_prompt is not None or options.n_gen is not None
    unasked = "0" if (serve is not None or scenarios) and not asks_rows else None
    return BenchSettings(
        model=model,
        prompt_lengths=parse_counts("-p", options.n_prompt or unasked or "512"),
        decode_lengths=parse_counts("-n", options.n_gen or unasked or "128"),
        streams=parse_counts("-np", options.parallel or "1"),
        repetitions=options.repetitions,
        context_length=options.ctx_size,
        stages=options.stages,
        devices=options.devices,
        threads=options.threads,
        ubatch_size=options.ubatch_size,
        cache_type_k=options.cache_type_k,
        cache_type_v=options.cache_type_v,
        flash_attn=options.flash_attn,
        draft=options.draft,
        lends_cores=options.lend_cores,
        allows_rounding=options.allow_rounding,
        compares=options.compare,
        serve=serve,
        **scenarios,
    )


def _note(text: str) -> None:
    clear_line(sys.stderr)
    print(text, file=sys.stderr, flush=True)


def _interrupt(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
