"""The process that runs templates: ``python -m cluster.chat.templates.render_child``.

It answers lines of JSON, one at a time, and ends when its stdin does:

{"compile": TEXT}                          {"template": NUMBER} or {"failed": WHY}
{"template": NUMBER, "variables": {...}}   {"text": TEXT, "tail": ITS END} or {"refused" or "failed" or "exceeded": WHY}

A template that takes more CPU time than it may ends it, by SIGPROF; after "exceeded" it is of no use any more.
"""

from __future__ import annotations

import copy
import json
import os
import resource
import signal
import sys
from typing import Any

from jinja2 import Template
from jinja2.exceptions import TemplateError

from cluster.chat.templates.environment import make_environment
from cluster.node.child import answer, die_with_parent

MAX_MEMORY_BYTES = 512 << 20
MAX_OUTPUT_CHARS = 4 << 20
MAX_WORDS_BYTES = 64 << 10  # of what it may say on stderr
CPU_S = 2.0
TAIL_CHARS = 256
NAME_BEGINNINGS = "<|[/\uff5c"


class _TooLongError(Exception):
    """A template wrote more than MAX_OUTPUT_CHARS."""


def main() -> int:
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started us
    _limit_process()
    environment = make_environment()
    templates: list[Template] = []
    answer({"ready": True})
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, CPU_S)  # at its end the system ends this process
        try:
            question = json.loads(line)
            if "compile" in question:
                templates.append(environment.from_string(question["compile"]))
                found: dict[str, Any] = {"template": len(templates) - 1}
            else:
                found = rendered(templates[question["template"]], question["variables"])
        except MemoryError:
            found = {"exceeded": f"it takes more than {MAX_MEMORY_BYTES >> 20} MiB"}
        except _TooLongError:
            found = {"exceeded": f"it writes more than {MAX_OUTPUT_CHARS >> 20} MiB"}
        except TemplateError as error:
            is_told = type(error) is TemplateError  # by the template itself
            found = {"refused" if is_told else "failed": said(error, is_told)}
        except Exception as error:
            found = {"failed": said(error, False)}
        signal.setitimer(signal.ITIMER_PROF, 0)
        answer(found)
    return 0


def rendered(template: Template, variables: dict[str, Any]) -> dict[str, str]:
    """The text, and what of it is there because the answer comes next."""
    asks = bool(variables.get("add_generation_prompt"))
    others = copy.deepcopy(variables) if asks else {}  # a template may change what it is given
    text = _text(template, variables)
    if not asks:
        return {"text": text, "tail": text[-TAIL_CHARS:]}
    try:
        without = _text(template, others | {"add_generation_prompt": False})
    except Exception:
        return {"text": text, "tail": text[-TAIL_CHARS:]}
    begin = _num_common(text, without)
    while begin and text[begin - 1] in NAME_BEGINNINGS:  # the same beginning of different names
        begin -= 1
    return {"text": text, "tail": text[begin:]}


def said(error: Exception, is_told: bool) -> str:
    """A line about an error."""
    text = " ".join(str(error)[:300].split())
    return text if is_told else f"{type(error).__name__}: {text}"


def _text(template: Template, variables: dict[str, Any]) -> str:
    parts, num_chars = [], 0
    for part in template.generate(variables):
        num_chars += len(part)
        if num_chars > MAX_OUTPUT_CHARS:
            raise _TooLongError
        parts.append(part)
    return "".join(parts)


def _num_common(a: str, b: str) -> int:
    """Characters at the beginning of both."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a.startswith(b[low:middle], low):
            low = middle
        else:
            high = middle - 1
    return low


def _limit_process() -> None:
    """Bounded memory, no large files, no core dumps, and nothing of the environment, in which secrets may stand."""
    os.environ.clear()
    for limit, most in (
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, MAX_WORDS_BYTES),
    ):
        _, hard = resource.getrlimit(limit)
        if hard == resource.RLIM_INFINITY or hard > most:
            resource.setrlimit(limit, (most, most))


if __name__ == "__main__":
    sys.exit(main())
