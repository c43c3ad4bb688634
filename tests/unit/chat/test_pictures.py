"""Pictures of messages: where they come from, and where they are in the text."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from cluster.api.errors import UsageError
from cluster.api.pictures import MAX_PICTURE_BYTES
from cluster.api.prompt import Segment
from cluster.chat.messages import PICTURE, Message, Role
from cluster.chat.openai_shape import messages_of
from cluster.chat.pictures import joined_parts, picture_of_base64, picture_of_program, picture_of_url
from cluster.chat.templates.templates import _with_pictures
from cluster.chat.templates.traits import TemplateTraits
from cluster.chat.templates.turns import fitted

A, B = b"picture A", b"picture B"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["see", A, "what?"], f"see{PICTURE}what?"),
        (["a", "b", A, B, "c", "d"], f"a\nb{PICTURE}{PICTURE}c\nd"),
        ([A], PICTURE),
        ([f"a{PICTURE}b"], "ab"),
        ([], ""),
    ],
)
def test_each_picture_has_its_place_and_nobody_elses(parts: list[str | bytes], text: str) -> None:
    assert joined_parts(parts) == (text, tuple(part for part in parts if isinstance(part, bytes)))


def test_urls_bytes_and_paths(tmp_path: Path) -> None:
    encoded = base64.b64encode(A).decode()
    (tmp_path / "a.png").write_bytes(A)
    assert picture_of_url(f"data:image/png;base64,{encoded}", "f") == A
    assert picture_of_url(f"DATA:image/png;charset=x;BASE64,{encoded}", "f") == A
    assert picture_of_program(bytearray(A), "f") == picture_of_program(tmp_path / "a.png", "f") == A
    with pytest.raises(UsageError, match=r"^f: .*none\.png: No such file"):
        picture_of_program(tmp_path / "none.png", "f")
    with pytest.raises(UsageError, match=r"^f: str is no picture; give bytes"):
        picture_of_program(str(tmp_path / "a.png"), "f")
    with pytest.raises(UsageError, match="more than"):
        picture_of_base64("A" * (MAX_PICTURE_BYTES * 4 // 3 + 100), "f")


def message(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "content": list(parts)}


def test_only_users_have_pictures() -> None:
    part, text = {"type": "image", "image": A}, {"type": "text", "text": "x"}
    (found,) = messages_of([message("user", text, part)])
    assert found == Message(Role.USER, f"x{PICTURE}", pictures=(A,))
    for role in ("system", "assistant", "tool"):
        with pytest.raises(UsageError, match=rf"^messages\[0\].content: a picture in a message of {role}"):
            messages_of([message(role, text, part)])


def test_messages_that_become_one_keep_their_pictures_in_order() -> None:
    turns = [Message(Role.USER, f"a{PICTURE}", pictures=(A,)), Message(Role.USER, f"{PICTURE}b", pictures=(B,))]
    (joined,) = fitted(turns, TemplateTraits(takes_users_in_a_row=False), None)
    assert (joined.content, joined.pictures) == (f"a{PICTURE}\n\n{PICTURE}b", (A, B))


def test_a_prompt_is_cut_at_its_pictures() -> None:
    segments = (Segment(f"[user]{PICTURE}see", True), Segment(f"<{PICTURE}", False))
    assert _with_pictures(segments, [A, B]) == (
        Segment("[user]", True),
        Segment("", picture=A),
        Segment("see", True),
        Segment("<", False),
        Segment("", picture=B),
    )
    assert _with_pictures(segments, []) == segments
    with pytest.raises(UsageError, match="has 2 places for 1 pictures"):
        _with_pictures(segments, [A])
