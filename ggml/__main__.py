"""``python -m ggml``: quantise and fine-tune model files, look at them, run programs, list devices."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ggml.core.errors import GgmlError
from ggml.tools.commands import devices, finetune, inspect, quantize, run
from ggml.tools.commands.printable import printable

_COMMANDS = (quantize, finetune, inspect, run, devices)


def parser() -> argparse.ArgumentParser:
    """The command line; each command adds its part."""
    top = argparse.ArgumentParser(
        prog="python -m ggml", description="Quantise and fine-tune GGUF models, look at them, and run programs."
    )
    parts = top.add_subparsers(dest="command", metavar="COMMAND")
    for command in _COMMANDS:
        part = parts.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        command.add_arguments(part)
        part.set_defaults(run=command.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. 0 if it worked, 1 with one line on stderr if not, 2 for a command line that makes no sense."""
    top = parser()
    options = top.parse_args(arguments)
    if options.command is None:
        top.print_help()
        return 0
    try:
        options.run(options)
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        return 1
    except (GgmlError, OSError) as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return printable(f"{error.filename}: {error.strerror}")
    return printable(" ".join(str(error).split()))


if __name__ == "__main__":
    sys.exit(main())
