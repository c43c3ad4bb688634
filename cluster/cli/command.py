"""What the `cluster` command does: reads the command line, runs a verb, and says what went wrong."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import traceback
from collections.abc import Sequence

from cluster.api.errors import ClusterError, UsageError
from cluster.cli import (
    bench,
    cache,
    connect,
    cuts,
    doctor,
    down,
    drain,
    join,
    leave,
    logs,
    nodes,
    plan,
    resplit,
    restart,
    run,
    serve,
    status,
    token,
    train,
    up,
    verify,
)
from cluster.cli.chat import verb as chat
from cluster.cli.pasted import prepared
from cluster.cli.verbs import ShowVersion, verb_hint
from cluster.node.core_dumps import forbid_core_dumps
from cluster.terminal.printable import printable

VERBS = (
    *(up, run, chat, serve, status, plan, verify, doctor, down, connect),
    *(join, nodes, token, drain, leave, restart, resplit, logs),
    *(cuts, cache, bench, train),
)
EXIT_CODES = "exit codes: 0 done, 1 failed, 2 usage, 3 capacity, 4 unreachable, 130 interrupted"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"{verb_hint(message)}; see: {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = _Parser(
        prog="cluster",
        description="Serve a GGUF model cut into layer slices, one per device.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action=ShowVersion)
    parser.set_defaults(run=_show_help)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", parser_class=_Parser)
    for verb in VERBS:
        verb.add_parser(verbs)
    return parser


def _show_help(options: argparse.Namespace) -> int:
    """What is run where no verb was given."""
    build_parser().print_help()
    return 0


def verb_parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each verb."""
    (verbs,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(verbs.choices)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. Data goes to stdout, notes to stderr; every error is one line and an exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character still shows the others
    # Else gRPC writes lines of its own where a verb serves: one for each stranger whose handshake fails.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    forbid_core_dumps()
    try:
        parser = build_parser()
        given = sys.argv[1:] if arguments is None else arguments
        given, for_script = train.split_off(given)
        options = parser.parse_args(prepared(given, verb_parsers(parser)), argparse.Namespace(for_script=for_script))
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except ClusterError as error:
        print(printable(f"cluster: {error}"), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("cluster: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away; what Python would still flush at exit has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # a full disk, a folder without access: whatever nobody could say more about
        where = error.filename or _where_to_look(error)
        print(printable(f"cluster: {where}: {error.strerror or error}; make room or access there"), file=sys.stderr)
        return 1


def _where_to_look(error: OSError) -> str:
    """What an error may be about that names no path: standard output if it was raised here by printing, else our
    folders."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if os.path.dirname(frame.f_code.co_filename) == os.path.dirname(__file__):
        # What Python would still flush at exit has nowhere to go.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return "standard output"
    from cluster.node.disk import temporary_root
    from cluster.node.state import state_path
    from cluster.node.xdg import cache_folder

    return f"one of {temporary_root()}, {cache_folder('slices').parent}, {state_path().parent}"
