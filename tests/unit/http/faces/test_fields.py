"""Fields of bodies: types, names in errors, and what nobody read."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.api.errors import UsageError
from cluster.http.faces.fields import Fields, sampling


def test_each_type_is_read_and_null_is_as_good_as_absent() -> None:
    fields = Fields({"a": "x", "b": True, "c": 3, "d": {"e": 1}, "f": [1], "g": None})
    assert (fields.text("a"), fields.flag("b"), fields.whole("c")) == ("x", True, 3)
    assert (fields.mapping("d"), fields.items("f")) == ({"e": 1}, (1,))
    assert (fields.text("g", "none"), fields.flag("g", True), fields.whole("g", 7), fields.items("g")) == (
        "none",
        True,
        7,
        (),
    )
    assert fields.inner("missing") is None


@pytest.mark.parametrize(
    ("reader", "value", "message"),
    [
        ("text", 1, "a: is a number; give a string"),
        ("text", True, "a: is a boolean; give a string"),
        ("flag", 1, "a: is a number; give true or false"),
        ("whole", True, "a: is a boolean; give a whole number"),
        ("whole", 1.5, "a: is a number; give a whole number"),
        ("items", {}, "a: is an object; give a list"),
        ("mapping", [], "a: is a list; give an object"),
        ("inners", [None], "a[0]: is null; give an object"),
    ],
)
def test_a_wrong_type_is_refused_by_the_name_of_its_field(reader: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        getattr(Fields({"a": value}), reader)("a")
    assert str(refusal.value) == message


def test_the_name_of_a_nested_field_is_its_path() -> None:
    (inner,) = Fields({"messages": [{"role": 1}]}).inners("messages")
    with pytest.raises(UsageError, match=r"^messages\[0\]\.role: is a number; give a string$"):
        inner.text("role")


def test_a_word_is_one_of_those_that_are_known() -> None:
    fields = Fields({"mode": "b", "other": "z"})
    assert fields.choice("mode", {"a": 1, "b": 2}, 0) == 2
    assert fields.choice("absent", {"a": 1}, 0) == 0
    with pytest.raises(UsageError, match="other: 'z' is not known; give one of a, b"):
        fields.choice("other", {"a": 1, "b": 2}, 0)


def test_what_nobody_asked_for_is_named_unless_it_is_null() -> None:
    fields = Fields({"model": "m", "store": True, "user": None, "seen": 1, "metadata": {}})
    fields.any("model")
    fields.skip("seen")
    assert fields.unread() == ("store", "metadata")


def test_parameters_are_taken_by_the_names_of_the_api_and_refused_by_them() -> None:
    names = {"max_output_tokens": "max_tokens", "temperature": "temperature"}
    params = sampling(Fields({"temperature": 0.5}), names, max_tokens=7)
    assert (params.temperature, params.max_tokens) == (0.5, 7)
    with pytest.raises(UsageError, match=r"^max_output_tokens: 'x' is not a whole number"):
        sampling(Fields({"max_output_tokens": "x"}), names)
