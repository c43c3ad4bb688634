"""``cluster run``: stream a text."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.api.errors import UsageError
from cluster.cli.params import add_param_flags, given_params
from cluster.cli.where import add_address_flags, given_address
from cluster.terminal.printable import printable, printable_lines

if TYPE_CHECKING:
    from cluster.api.results import TokenEvent


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "run",
        help="stream a text, or call a program",
        description="Send a prompt and print the text as it comes. Of a program: send arrays, and say what comes back.",
    )
    add = parser.add_argument
    add("prompt", nargs="?", help="the text to continue; - reads it from stdin")
    add("-p", "--prompt", dest="prompt_flag", metavar="TEXT", help="the same as PROMPT")
    add("-f", "--file", metavar="FILE", help="read the prompt from this file")
    add_param_flags(parser)
    add(
        "--parse-special",
        action="store_true",
        help='names of control tokens in the prompt, such as "<|im_start|>", become these tokens (default: plain text)',
    )
    add("-v", "--verbose", action="store_true", help="tokens and timings on stderr")
    add("--display-prompt", action=argparse.BooleanOptionalAction, default=True, help="print the prompt too (default)")
    add("-no-cnv", "--no-conversation", action="store_true", help=argparse.SUPPRESS)  # there is no other way
    add(
        "--input",
        metavar="NAME=F.npy",
        action="append",
        default=[],
        help="of a program: an input from a file of numpy, in place of a prompt; repeat it for more",
    )
    add("--output", metavar="F.npz", help="of a program: where what it gives is saved")
    add_address_flags(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.input or options.output:
        return _run_program(options)
    params = given_params(options)
    prompt = _prompt(options)
    from cluster.client.sync import connect

    shown = printable_lines if sys.stdout.isatty() else str
    with connect(given_address(options)) as client:
        if options.display_prompt:
            print(prompt, end="", flush=True)
        with client.stream(prompt, params, parse_special=options.parse_special) as events:
            for event in events:
                print(shown(event.text), end="", flush=True)
                if event.finish_reason is not None:
                    print(flush=True)
                    _report(event, options.verbose)
    return 0


def _run_program(options: argparse.Namespace) -> int:
    """One call of a program: a line for each array that it gives."""
    import numpy as np

    from cluster.client.sync import connect

    if any(text is not None for text in (options.prompt, options.prompt_flag, options.file)):
        raise UsageError("prompt: a program takes arrays only; leave it out")
    arrays = dict(_named_array(text) for text in options.input)
    with connect(given_address(options)) as client:
        made = client.run(arrays)
    for name, array in made.items():
        span = f"from {array.min():.6g} to {array.max():.6g}" if array.size else "no elements"
        print(f"{printable(name)}  {array.dtype} {array.shape}  {span}")
    if options.output:
        try:
            with open(options.output, "wb") as file:
                np.savez(file, allow_pickle=False, **made)
        except OSError as error:
            raise UsageError(f"output: {options.output}: {error.strerror or error}; give another file") from error
    return 0


def _named_array(text: str) -> tuple[str, Any]:
    import numpy as np

    name, sign, path = text.partition("=")
    if not sign:
        raise UsageError(f"input: {text!a:.80} is no NAME=F.npy; give the name of an input, and a file")
    try:
        return name, np.load(path, allow_pickle=False)
    except OSError as error:
        raise UsageError(f"input: {path}: {error.strerror or error}; give a file that can be read") from error
    except (ValueError, EOFError) as error:
        raise UsageError(f"input: {path}: no array of numpy ({error}); write it with numpy.save") from error


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
