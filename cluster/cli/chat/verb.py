"""The verb ``chat``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.api.errors import ClusterError, UsageError
from cluster.cli.params import add_param_flags, given_params
from cluster.cli.where import add_address_flags, given_address
from cluster.terminal.printable import printable

if TYPE_CHECKING:
    from cluster.cli.chat.conversation import Conversation
    from cluster.client.sync import Client


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "chat",
        help="talk with the model",
        description="Talk with the model. On a terminal /help lists what else can be typed; from a pipe each line is "
        "a message.",
    )
    add = parser.add_argument
    add("--system", "-sys", "--system-prompt", metavar="TEXT", default="", help="instructions for the model")
    add("--load", metavar="FILE", help="go on with a conversation that /save has written")
    add("--no-history", action="store_true", help="what is typed is not kept for the next time")
    add_param_flags(parser)
    add_address_flags(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cluster.cli.chat.conversation import Conversation, without_limit
    from cluster.client.sync import connect

    params = without_limit(given_params(options), options.max_tokens is not None)
    conversation = Conversation(params, options.system)
    if options.load:
        conversation.load(Path(options.load))
    with connect(given_address(options)) as client:
        is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        if is_terminal:
            status = client.status()
            print(f"{status.model} at {client.address}; /help lists commands, Ctrl-D leaves", file=sys.stderr)
        return _talk(client, conversation, _messages(options, is_terminal), is_terminal)


def _messages(options: argparse.Namespace, is_terminal: bool) -> Iterator[str]:
    from cluster.cli.chat.reading import piped_messages, typed_messages
    from cluster.node.xdg import state_file

    if not is_terminal:
        return piped_messages(sys.stdin)
    return typed_messages(None if options.no_history else state_file("chat_history"))


def _talk(client: Client, conversation: Conversation, messages: Iterator[str], is_terminal: bool) -> int:
    """Until there are no more messages. A pipe ends at the first error; a person goes on."""
    from cluster.cli.chat.commands import run_command

    for line in messages:
        try:
            text = line
            if line.startswith("/"):
                done = run_command(line, conversation)
                if done.text:
                    print(done.text, file=sys.stderr)
                if done.is_over:
                    return 0
                text = done.ask_again
            if text:
                _ask(client, conversation, text, is_terminal)
        except ClusterError as error:
            if not is_terminal:
                raise
            print(printable(f"cluster: {error}"), file=sys.stderr)
    return 0


def _ask(client: Client, conversation: Conversation, text: str, is_terminal: bool) -> None:
    """What gets no answer was not said."""
    from cluster.cli.chat.answering import show_answer

    conversation.say(text)
    try:
        answer = show_answer(client.chat_stream(conversation.asked(), conversation.params), is_terminal)
    except BaseException as error:
        conversation.take_back()
        if isinstance(error, KeyboardInterrupt) and is_terminal:
            raise UsageError("the answer: it was stopped before it began; ask again") from error
        raise
    if answer.content or answer.reasoning or answer.tool_calls:
        conversation.answered(answer.message)
    else:
        conversation.take_back()
