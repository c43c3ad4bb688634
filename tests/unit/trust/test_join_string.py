"""A join string is read back as it was made, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.errors import UsageError
from cluster.trust.join_string import JoinString
from cluster.trust.names import BASE32


def _of(num_chars: int) -> st.SearchStrategy[str]:
    return st.text(BASE32, min_size=num_chars, max_size=num_chars)


@given(_of(6), _of(26), _of(32))
def test_it_is_read_back(token_id: str, secret: str, ca_hash: str) -> None:
    made = JoinString(token_id, secret, ca_hash)
    assert JoinString.of_text(f" {made.text}\n") == made
    assert "secret=" not in repr(made)
    for cut in (made.text[:-1], made.text + "a", made.text.replace(".", ":", 1)):
        with pytest.raises(UsageError, match="copy the whole") as raised:
            JoinString.of_text(cut)
        assert secret[:20] not in str(raised.value)


@given(st.text(max_size=400))
def test_other_text_is_one_error(text: str) -> None:
    with pytest.raises(UsageError):
        JoinString.of_text(text)


def test_that_of_another_version_is_told_apart() -> None:
    with pytest.raises(UsageError, match="another version"):
        JoinString.of_text("gc2.abc")


def test_the_whole_line_that_was_printed_is_taken_too() -> None:
    given = JoinString("abcdef", "a" * 26, "b" * 32)
    assert JoinString.of_text(f"cluster join 10.0.0.1:8469 --token {given.text}\n") == given
