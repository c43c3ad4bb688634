"""Grammars that are too much for whoever compiles them end that process, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from cluster.api.errors import UsageError
from cluster.grammar.checking.checker import MAX_KEPT, GrammarChecker
from cluster.grammar.checking.question import Form


@pytest.fixture
def checker() -> Iterator[GrammarChecker]:
    made = GrammarChecker()
    yield made
    made.close()


def _schema(schema: object) -> str:
    return json.dumps({"grammars": [{"json_schema": schema}]})


HOSTILE = {
    "for ever": _schema({"allOf": [{"type": "string", "pattern": f".*{number}.*"} for number in range(3000)]}),
    "much memory": _schema({"properties": {f"k{number}": {} for number in range(14000)}}),
    "many rules": "start: r0\n" + "".join(f"r{n}: r{n + 1} r{n + 1}\n" for n in range(9000)) + 'r9000: "a"',
    "deep": "start: " + "(" * 50000 + '"a"' + ")" * 50000,
}
HOSTILE_GBNF = "root ::= " + "(" * 50000 + '"a"' + ")" * 50000


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_grammar_is_refused_and_the_next_one_compiles(checker: GrammarChecker, text: str) -> None:
    with pytest.raises(UsageError, match=r"^grammar: .*(too much time or memory|too deep)"):
        checker.compile(Form.GRAMMAR, text)
    assert checker.compile(Form.GRAMMAR, 'start: "a"').text == 'start: "a"'


def test_deep_gbnf_is_refused(checker: GrammarChecker) -> None:
    with pytest.raises(UsageError, match="too deep"):
        checker.compile(Form.GBNF, HOSTILE_GBNF)


def test_several_threads_ask_at_once(checker: GrammarChecker) -> None:
    found: dict[int, str] = {}

    def ask(number: int) -> None:
        found[number] = checker.compile(Form.REGEX, f"a{{{number}}}").text

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(f"a{{{number}}}" in found[number] for number in range(8))


def test_a_process_that_was_killed_meanwhile_is_no_fault_of_the_next_grammar(checker: GrammarChecker) -> None:
    checker.compile(Form.GRAMMAR, 'start: "a"')
    child = checker._child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    assert checker.compile(Form.GRAMMAR, 'start: "b"').text == 'start: "b"'


def test_what_was_compiled_is_known_for_a_while(checker: GrammarChecker) -> None:
    """A second question costs nothing, not even for one that ended the process."""
    first = checker.compile(Form.GRAMMAR, 'start: "0"')
    assert checker.compile(Form.GRAMMAR, 'start: "0"') is first
    for number in range(MAX_KEPT + 1):
        checker.compile(Form.GRAMMAR, f'start: "{number}"')
    again = checker.compile(Form.GRAMMAR, 'start: "0"')
    assert again == first and again is not first
