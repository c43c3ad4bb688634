"""What begins with a slash is for the program, and not for the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from cluster.api.errors import UsageError
from cluster.api.nearest import did_you_mean
from cluster.api.sampling import SamplingParams
from cluster.cli.chat.conversation import Conversation


@dataclass(frozen=True, slots=True)
class Done:
    """What a command leads to."""

    text: str = ""  # to be shown
    ask_again: str = ""  # what is said anew
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    arguments: str
    help: str
    run: Callable[[Conversation, str], Done]


def run_command(line: str, conversation: Conversation) -> Done:
    """Runs a line that begins with a slash. UsageError says what is wrong with it."""
    word, _, rest = line.strip().partition(" ")
    name = ALIASES.get(word, word)
    if name not in COMMANDS:
        raise UsageError(f"{word}: no such command; {did_you_mean(word, tuple(COMMANDS), '/help lists them')}")
    return COMMANDS[name].run(conversation, rest.strip())


def _help(conversation: Conversation, rest: str) -> Done:
    width = max(len(f"{name} {command.arguments}") for name, command in COMMANDS.items())
    lines = [f"  {f'{name} {one.arguments}':{width}}  {one.help}" for name, one in COMMANDS.items()]
    keys = "  Enter sends, Alt-Enter or \\ at the end of a line goes on; Ctrl-C stops an answer, Ctrl-D leaves"
    return Done("\n".join([*lines, keys]))


def _system(conversation: Conversation, rest: str) -> Done:
    conversation.system = rest
    return Done("the model is instructed" if rest else "the model has no instructions")


def _set(conversation: Conversation, rest: str) -> Done:
    name, _, value = rest.replace("=", " ", 1).partition(" ")
    if not name or not value.strip():
        raise UsageError("/set: give a parameter and its value, such as /set temperature 0.5; /show lists them")
    conversation.set(name, value.strip())
    return Done(f"{name} is {getattr(conversation.params, name)}")


def _show(conversation: Conversation, rest: str) -> Done:
    default = SamplingParams()
    changed = {
        one.name: getattr(conversation.params, one.name)
        for one in fields(SamplingParams)
        if getattr(conversation.params, one.name) != getattr(default, one.name)
    }
    lines = [f"system: {conversation.system or 'none'}", f"messages: {len(conversation.messages)}"]
    lines += [f"{name}: {value}" for name, value in changed.items()]
    return Done("\n".join(lines))


def _reset(conversation: Conversation, rest: str) -> Done:
    conversation.reset()
    return Done("a new conversation begins")


def _retry(conversation: Conversation, rest: str) -> Done:
    return Done(ask_again=conversation.take_back())


def _undo(conversation: Conversation, rest: str) -> Done:
    return Done(f"unsaid: {conversation.take_back()}")


def _save(conversation: Conversation, rest: str) -> Done:
    path = _path("/save", rest)
    conversation.save(path)
    return Done(f"saved in {path}")


def _load(conversation: Conversation, rest: str) -> Done:
    path = _path("/load", rest)
    conversation.load(path)
    return Done(f"{len(conversation.messages)} messages from {path}")


def _quit(conversation: Conversation, rest: str) -> Done:
    return Done(is_over=True)


def _path(name: str, rest: str) -> Path:
    if not rest:
        raise UsageError(f"{name}: no file was given; give its path")
    return Path(rest).expanduser()


COMMANDS = {
    "/help": Command("", "what there is to type", _help),
    "/system": Command("[TEXT]", "instruct the model; without a text, no more", _system),
    "/set": Command("NAME VALUE", "a sampling parameter, such as temperature 0.5", _set),
    "/show": Command("", "instructions, parameters that were changed, number of messages", _show),
    "/reset": Command("", "begin a new conversation", _reset),
    "/retry": Command("", "another answer to the last message", _retry),
    "/undo": Command("", "unsay the last message, with its answer", _undo),
    "/save": Command("FILE", "write the conversation, as JSON", _save),
    "/load": Command("FILE", "go on with one that was written", _load),
    "/quit": Command("", "leave", _quit),
}
ALIASES = {"/?": "/help", "/clear": "/reset", "/new": "/reset", "/regen": "/retry", "/exit": "/quit", "/bye": "/quit"}
