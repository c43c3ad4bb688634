"""Arguments before argparse sees them: a prompt that begins with a dash, and flags that a verb does not have."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

from cluster.api.errors import UsageError
from cluster.api.nearest import did_you_mean
from cluster.cli.llama_flags import REASONS

_GLUED_NUMBER = re.compile(r"-[a-z]-?[0-9.]+")  # -n5
_NEGATIVE_NUMBER = re.compile(r"-[0-9.]+")
_NEAR = 0.75


def prepared(arguments: Sequence[str], verbs: Mapping[str, argparse.ArgumentParser]) -> list[str]:
    """The arguments of a verb, with a prompt that looks like a flag behind ``--``. UsageError for a flag it lacks."""
    verb = arguments[0] if arguments else ""
    if verb not in verbs or "--" in arguments or verbs[verb]._subparsers is not None:
        return list(arguments)
    own = verbs[verb]._option_string_actions
    others = [
        place for place, argument in _free(arguments, own) if argument.startswith("-") and not _is_value(argument)
    ]
    words = [place for place, argument in _free(arguments, own) if place and place not in others]
    if verb == "run" and not words and len(others) == 1 and _is_prompt(arguments[others[0]], own, verbs):
        place = others[0]
        return [*arguments[:place], *arguments[place + 1 :], "--", arguments[place]]
    for place in others:
        raise UsageError(_why_not(arguments[place].partition("=")[0], verb, own, verbs))
    return list(arguments)


def _free(arguments: Sequence[str], own: Mapping[str, argparse.Action]) -> Iterator[tuple[int, str]]:
    """Arguments that are neither a flag of the verb nor the value of one, with their places."""
    takes_next = False
    for place, argument in enumerate(arguments):
        flag, is_joined, _ = argument.partition("=")
        action = _action(flag, own)
        if takes_next and (action is None or is_joined):
            takes_next = False
        elif action is not None:
            takes_next = action.nargs != 0 and not is_joined and not isinstance(action, argparse.BooleanOptionalAction)
        else:
            yield place, argument


def _action(flag: str, own: Mapping[str, argparse.Action]) -> argparse.Action | None:
    """As argparse finds it: also by the beginning of its long name, or with a number glued to a short one."""
    if flag in own:
        return own[flag]
    begun = [action for name, action in own.items() if flag.startswith("--") and name.startswith(flag)]
    return begun[0] if len(set(map(id, begun))) == 1 else None


def _is_value(argument: str) -> bool:
    return argument == "-" or bool(_NEGATIVE_NUMBER.fullmatch(argument) or _GLUED_NUMBER.fullmatch(argument))


def _is_prompt(argument: str, own: Mapping[str, argparse.Action], verbs: Mapping[str, argparse.ArgumentParser]) -> bool:
    """It is no flag of anything, and none that was mistyped."""
    flag = argument.partition("=")[0]
    known = [*own, *REASONS, *(name for parser in verbs.values() for name in parser._option_string_actions)]
    is_mistyped = argument.startswith("--") and difflib.get_close_matches(flag, known, 1, _NEAR)
    return " " in argument or (flag not in known and not is_mistyped)


def _why_not(
    flag: str, verb: str, own: Mapping[str, argparse.Action], verbs: Mapping[str, argparse.ArgumentParser]
) -> str:
    for other in ("up", "run"):
        if other != verb and flag in verbs[other]._option_string_actions:
            return f"{flag}: not of cluster {verb}; give it to cluster {other}"
    if flag in REASONS:
        return f"{flag}: not of cluster {verb}: {REASONS[flag]}"
    hint = did_you_mean(flag, own, f"see: cluster {verb} --help", cutoff=_NEAR)
    return f"{flag}: unrecognized by cluster {verb}; {hint}"
