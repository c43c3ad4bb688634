"""Every family's calls are found, whatever the text is cut into."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from cluster.chat.formats.format import ToolFormat
from cluster.chat.formats.part import Part, PartKind
from cluster.chat.formats.spelling import spelled
from cluster.chat.formats.splitter import Splitter
from cluster.chat.formats.table import FORMATS
from cluster.chat.messages import ToolCall
from tests.unit.chat.formats.samples import ARGUMENTS, CALLS, PARAMETERS
from tests.unit.chat.formats.written import WRITTEN

UNIQUE = {form.id: form for form in FORMATS}


def split(form: ToolFormat, pieces: Sequence[str]) -> list[Part]:
    splitter = Splitter(None, False, form, PARAMETERS, form.prime)
    parts = [part for piece in pieces for part in splitter.push(piece)]
    return parts + splitter.finish()


def joined(parts: Sequence[Part]) -> list[tuple[PartKind, str]]:
    """Neighbours of a kind as one."""
    found: list[tuple[PartKind, str]] = []
    for part in parts:
        if found and found[-1][0] is part.kind and part.kind in (PartKind.CONTENT, PartKind.ARGUMENTS):
            found[-1] = (part.kind, found[-1][1] + part.text)
        else:
            found.append((part.kind, part.text))
    return found


def text_of(form: ToolFormat) -> str:
    return spelled(form, CALLS[:1] if form.is_single else CALLS).removeprefix(form.prime)


@pytest.mark.parametrize("form", UNIQUE.values(), ids=UNIQUE)
def test_calls_are_spelled_as_the_family_s_templates_do(form: ToolFormat) -> None:
    calls = (ToolCall("abc123456", "get_weather", '{"city": "Paris", "days": 3}'), ToolCall("def123456", "now", "{}"))
    assert spelled(form, calls[:1] if form.is_single else calls) == WRITTEN[form.id]


@pytest.mark.parametrize("form", UNIQUE.values(), ids=UNIQUE)
def test_what_a_family_writes_is_read(form: ToolFormat) -> None:
    parts = joined(split(form, [text_of(form)]))
    names = [text for kind, text in parts if kind is PartKind.CALL]
    arguments = [json.loads(text) for kind, text in parts if kind is PartKind.ARGUMENTS]
    assert names == (["get_weather"] if form.is_single else ["get_weather", "now"])
    assert arguments == ([ARGUMENTS] if form.is_single else [ARGUMENTS, {}])
    assert {kind for kind, _ in parts} == {PartKind.CALL, PartKind.ARGUMENTS, PartKind.CALL_END}


@pytest.mark.parametrize("form", UNIQUE.values(), ids=UNIQUE)
def test_parts_do_not_depend_on_how_the_text_was_cut(form: ToolFormat) -> None:
    text = text_of(form)
    whole = joined(split(form, [text]))
    for cut in range(1, len(text)):
        assert joined(split(form, [text[:cut], text[cut:]])) == whole, cut
    for size in (1, 2, 3, 7):
        pieces = [text[begin : begin + size] for begin in range(0, len(text), size)]
        assert joined(split(form, pieces)) == whole, size


@pytest.mark.parametrize("form", UNIQUE.values(), ids=UNIQUE)
def test_arguments_come_before_they_are_whole(form: ToolFormat) -> None:
    splitter = Splitter(None, False, form, PARAMETERS, form.prime)
    text = text_of(form)
    parts = splitter.push(text[: text.index("France")])
    names = [part.text for part in parts if part.kind is PartKind.CALL]
    sent = "".join(part.text for part in parts if part.kind is PartKind.ARGUMENTS)
    assert names == ["get_weather"]
    assert sent.startswith('{"city": "Paris \\"x\\" </b> {é}')


@pytest.mark.parametrize("form", UNIQUE.values(), ids=UNIQUE)
def test_text_around_calls_is_content_and_nothing_is_lost(form: ToolFormat) -> None:
    if form.is_first or form.id in ("harmony", "functionary32"):
        pytest.skip("its calls follow nothing")
    parts = joined(split(form, list(f"Let me see.\n{text_of(form)}")))
    assert parts[0] == (PartKind.CONTENT, "Let me see.")
    assert parts[1] == (PartKind.CALL, "get_weather")
    broken = f"a < b, {form.trigger} is how it begins\n"
    assert joined(split(form, list(broken))) == [(PartKind.CONTENT, broken)]


@pytest.mark.parametrize("form", UNIQUE.values(), ids=UNIQUE)
def test_a_text_that_ends_anywhere_gives_what_it_has(form: ToolFormat) -> None:
    text = text_of(form)
    whole = joined(split(form, [text]))
    arguments = next(text for kind, text in whole if kind is PartKind.ARGUMENTS)
    for cut in range(len(text)):
        parts = joined(split(form, [text[:cut]]))
        sent = [text for kind, text in parts if kind is PartKind.ARGUMENTS]
        if sent and len(sent) == 1 and form.id != "python_list":
            assert arguments.startswith(sent[0]), (cut, sent[0])
        begun = [text for kind, text in parts if kind is PartKind.CALL]
        ended = sum(kind is PartKind.CALL_END for kind, _ in parts)
        assert len(begun) == ended
