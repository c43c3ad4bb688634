"""``cluster run``: stream a text."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from cluster.printable import printable

if TYPE_CHECKING:
    from cluster.messages import TokenEvent
    from cluster.sampling import SamplingParams

NO_LIMIT = -1
FLAG_PARAMS = (
    "top_k",
    "top_p",
    "min_p",
    "seed",
    "repeat_penalty",
    "repeat_last_n",
    "presence_penalty",
    "frequency_penalty",
    "ignore_eos",
)


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "run", help="stream a text", description="Send a prompt and print the text as it comes."
    )
    add = parser.add_argument
    add("prompt", help="the text to continue; - reads it from stdin")
    add(
        "-n",
        "--predict",
        type=int,
        metavar="N",
        help="most tokens to generate; -1 for no limit (default: 128)",
    )
    add("--temp", type=float, help="temperature; 0 is greedy (default: 0.8)")
    add("--top-k", type=int, metavar="K")
    add("--top-p", type=float, metavar="P")
    add("--min-p", type=float, metavar="P")
    add("-s", "--seed", type=int)
    add("--repeat-penalty", type=float)
    add("--repeat-last-n", type=int, metavar="N")
    add("--presence-penalty", type=float)
    add("--frequency-penalty", type=float)
    add("--ignore-eos", action="store_true", default=None)
    add("--stop", action="append", metavar="TEXT", help="end before this text appears; may be repeated")
    add("-v", "--verbose", action="store_true", help="tokens and timings on stderr")
    add("--no-display-prompt", action="store_true", help="print only what was generated")
    add("--address", help="host:port of the cluster (default: CLUSTER_ADDRESS, or the local one)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    params = _params(options)
    prompt = _read_stdin() if options.prompt == "-" else options.prompt
    from cluster.client import connect

    shown = _as_shown if sys.stdout.isatty() else str
    with connect(options.address) as client:
        if not options.no_display_prompt:
            print(prompt, end="", flush=True)
        with client.stream(prompt, params) as events:
            for event in events:
                print(shown(event.text), end="", flush=True)
                if event.finish_reason is not None:
                    print(flush=True)
                    _report(event, options.verbose)
    return 0


def _as_shown(text: str) -> str:
    """Generated text on a terminal: its lines and tabs, but no character that the terminal would obey."""
    return "".join(char if char in "\n\t" else printable(char) for char in text)


def _read_stdin() -> str:
    from cluster.errors import UsageError

    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise UsageError(f"prompt: stdin is not {error.encoding} ({error.reason}); convert it") from error


def _params(options: argparse.Namespace) -> SamplingParams:
    """Only what was asked for: the defaults are those of SamplingParams."""
    from cluster.sampling import SamplingParams

    given = {name: getattr(options, name) for name in FLAG_PARAMS}
    given["temperature"] = options.temp
    given["stop"] = tuple(options.stop) if options.stop else None
    given["max_tokens"] = options.predict
    settings = {name: value for name, value in given.items() if value is not None}
    if options.predict == NO_LIMIT:
        settings["max_tokens"] = None
    return SamplingParams(**settings)


def _report(event: TokenEvent, verbose: bool) -> None:
    """What ended the text, if it was not the model or the asked length; figures if wanted."""
    if event.finish_reason is not None and event.finish_reason.value == "context":
        print("note: the context is full; start the cluster with a larger --ctx-size", file=sys.stderr)
    timings = event.timings
    if not verbose or timings is None or event.finish_reason is None:
        return
    rate = 1e3 * (timings.num_tokens - 1) / timings.decode_ms if timings.decode_ms > 0 else 0.0
    print(
        f"{timings.num_prompt_tokens} prompt tokens ({timings.num_cached_tokens} cached) in "
        f"{timings.prefill_ms:.0f} ms after {timings.queue_ms:.0f} ms in the queue; {timings.num_tokens} tokens in "
        f"{timings.decode_ms:.0f} ms ({rate:.1f} tokens/s); ended by: {event.finish_reason.value}",
        file=sys.stderr,
    )
