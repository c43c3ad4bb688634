"""``cluster run``: stream a text."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.api.errors import UsageError
from cluster.terminal.printable import printable

if TYPE_CHECKING:
    from cluster.api.results import TokenEvent
    from cluster.api.sampling import SamplingParams

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
    add("prompt", nargs="?", help="the text to continue; - reads it from stdin")
    add("-p", "--prompt", dest="prompt_flag", metavar="TEXT", help="the same as PROMPT")
    add("-f", "--file", metavar="FILE", help="read the prompt from this file")
    add(
        "-n",
        "--predict",
        "--n-predict",
        type=int,
        metavar="N",
        help="most tokens to generate; -1 or -2: until the end (default: 128)",
    )
    add("--temp", "--temperature", dest="temp", type=float, metavar="T", help="temperature; 0 is greedy (default: 0.8)")
    add("--top-k", type=int, metavar="K", help="of the K most probable tokens; 0 or -1: of all (default: 40)")
    add("--top-p", type=float, metavar="P", help="of the most probable ones that make up P; 1: off (default: 0.95)")
    add("--min-p", type=float, metavar="P", help="of those at least P times as probable as the first (default: 0.05)")
    add("-s", "--seed", type=int, help="repeat a text; -1: another each time (default: -1)")
    add("--repeat-penalty", type=float, help="of recent tokens; 1: off (default: 1)")
    add("--repeat-last-n", type=int, metavar="N", help="recent tokens; 0: off, -1: all (default: 64)")
    add("--presence-penalty", type=float, help="0: off (default: 0)")
    add("--frequency-penalty", type=float, help="0: off (default: 0)")
    add(
        "--parse-special",
        action="store_true",
        help='names of control tokens in the prompt, such as "<|im_start|>", become these tokens (default: plain text)',
    )
    add("--ignore-eos", action="store_true", default=None, help="go on after an end token")
    add("--stop", "-r", "--reverse-prompt", action="append", metavar="TEXT", help="end before this text; repeatable")
    add("-v", "--verbose", action="store_true", help="tokens and timings on stderr")
    add("--display-prompt", action=argparse.BooleanOptionalAction, default=True, help="print the prompt too (default)")
    add("-no-cnv", "--no-conversation", action="store_true", help=argparse.SUPPRESS)  # there is no other way
    add("--address", help="host:port of the cluster (default: CLUSTER_ADDRESS, or the local one)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    params = _params(options)
    prompt = _prompt(options)
    from cluster.client.sync import connect

    shown = _as_shown if sys.stdout.isatty() else str
    with connect(options.address) as client:
        if options.display_prompt:
            print(prompt, end="", flush=True)
        with client.stream(prompt, params, parse_special=options.parse_special) as events:
            for event in events:
                print(shown(event.text), end="", flush=True)
                if event.finish_reason is not None:
                    print(flush=True)
                    _report(event, options.verbose)
    return 0


def _as_shown(text: str) -> str:
    """Generated text on a terminal: its lines and tabs, but no character that the terminal would obey."""
    return "".join(char if char in "\n\t" else printable(char) for char in text)


def _prompt(options: argparse.Namespace) -> str:
    given = [text for text in (options.prompt, options.prompt_flag, options.file) if text is not None]
    if len(given) != 1:
        raise UsageError(f"prompt: {len(given)} were given; give one, as PROMPT, with -p, or in a file with -f")
    if options.file is not None:
        return _read_file(options.file)
    return _read_stdin() if given == ["-"] and options.prompt is not None else str(given[0])


def _read_file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").removesuffix("\n")
    except OSError as error:
        raise UsageError(f"prompt: {path}: {error.strerror or error}; give a file that can be read") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"prompt: {path} is not {error.encoding} ({error.reason}); convert it") from error


def _read_stdin() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise UsageError(f"prompt: stdin is not {error.encoding} ({error.reason}); convert it") from error


def _params(options: argparse.Namespace) -> SamplingParams:
    """Only what was asked for: the defaults are those of SamplingParams."""
    from cluster.api.sampling import SamplingParams

    given = {name: getattr(options, name) for name in FLAG_PARAMS}
    given["temperature"] = options.temp
    given["stop"] = tuple(options.stop) if options.stop else None
    given["max_tokens"] = options.predict
    return SamplingParams(**{name: value for name, value in given.items() if value is not None})


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
