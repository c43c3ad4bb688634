"""Bad and hostile grammars are their request's error, at once, while others go on."""

from __future__ import annotations

import threading

import pytest

from cluster.api.errors import CapacityError, ClusterError, UsageError
from cluster.api.results import Completion
from cluster.api.sampling import MAX_GRAMMAR_BYTES, SamplingParams
from cluster.client.sync import Client
from tests.http.grammars.kit import at_once, outcome_of
from tests.unit.grammar.test_checker import HOSTILE

BAD = {
    "empty rule": "start: nowhere",
    "no grammar": "{",
    "no expression": "start: /(a/",
    "no such token": 'start: <|nowhere|> "a"',
    "no such number": "start: <[1048576]>",
    "unenforceable": '{"grammars": [{"json_schema": {"type": "array", "uniqueItems": true}}]}',
    "another document": '{"grammars": [{"json_schema": {"$ref": "file:///etc/passwd"}}]}',
}


@pytest.mark.parametrize("grammar", [*BAD.values(), *HOSTILE.values()], ids=[*BAD, *HOSTILE])
def test_it_is_refused_while_others_stream(client: Client, grammar: str) -> None:
    """Before it is queued: whoever asks learns it without a token."""
    prompt, params = "Once upon a time", SamplingParams(max_tokens=40, seed=9)
    alone = client.generate(prompt, params)
    found = at_once(client, [prompt] * 3, [params, SamplingParams(grammar=grammar, seed=1), params])
    assert isinstance(found[1], UsageError) and str(found[1]).startswith(("grammar: ", "schema: "))
    for other in (found[0], found[2]):
        assert isinstance(other, Completion) and other.token_ids == alone.token_ids
    assert client.generate(prompt, params).token_ids == alone.token_ids


# All of these compile; each is much to follow.
HEAVY = {
    "many states": r"start: /(a|b)*a(a|b){18}c/",
    "ambiguous": "start: x\nx: x x | /[a-z ]/ | /[a-z]+/",
    "nested repeats": r"start: /((a?){60}){60}/",
    "unicode": r"start: /(\p{L}|\p{N}|[ ]){1,3000}/",
    "long constant": 'start: "' + "ab" * 60_000 + '"',
    "many words": "start: /" + "|".join(f"w{number}x*" for number in range(3000)) + "/",
}


@pytest.mark.parametrize("grammar", HEAVY.values(), ids=HEAVY)
def test_one_that_is_much_to_follow_ends_by_itself_or_in_its_own_error(client: Client, grammar: str) -> None:
    prompt, params = "Once upon a time", SamplingParams(max_tokens=40, seed=9)
    alone = client.generate(prompt, params)
    heavy = SamplingParams(grammar=grammar, seed=2, max_tokens=40, temperature=1.5, top_k=0, min_p=0.0, top_p=1.0)
    first, second = at_once(client, [prompt] * 2, [heavy, params])
    assert isinstance(first, Completion) or "grammar: " in str(first)
    assert isinstance(second, Completion) and second.token_ids == alone.token_ids


def test_the_largest_grammar_and_one_that_is_too_large(client: Client) -> None:
    words = " | ".join(f'"{number:06}"' for number in range(2000))
    rest = MAX_GRAMMAR_BYTES - len(f"start: {words}\n//")
    largest = f"start: {words}\n//" + "x" * rest
    assert len(outcome_text(client, largest)) == 6
    with pytest.raises(UsageError, match="grammar"):
        SamplingParams(grammar=largest + "x")


@pytest.mark.slow
def test_more_large_grammars_than_have_room_are_told_so(client: Client) -> None:
    """And when those that were there have ended, there is room again."""
    filler = "\n//" + "x" * (MAX_GRAMMAR_BYTES - 200)
    endless = SamplingParams(max_tokens=200, ignore_eos=True, seed=1)
    grammars = [f"start: /[a-z ]*{number}/{filler}" for number in range(40)]
    found: list[Completion | ClusterError] = []

    def ask(grammar: str) -> None:
        try:
            with client.stream("Once", endless, grammar=grammar) as events:
                list(events)
        except ClusterError as error:
            found.append(error)

    threads = [threading.Thread(target=ask, args=(grammar,)) for grammar in grammars]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found and all(isinstance(error, CapacityError) for error in found), found
    assert isinstance(outcome_of(client, "Once", SamplingParams(grammar=f"start: /[a-z]/{filler}")), Completion)


def outcome_text(client: Client, grammar: str) -> str:
    found = outcome_of(client, "Once", SamplingParams(grammar=grammar, seed=1, max_tokens=None))
    assert isinstance(found, Completion), found
    return found.text
