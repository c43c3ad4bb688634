"""What is remembered of responses, and what has to leave for it."""

from __future__ import annotations

from typing import Any

from cluster.http.faces.responses.store import ResponseStore


def response(name: str, text: str = "") -> dict[str, Any]:
    return {"id": f"resp_{name}", "output": [{"id": f"msg_{name}", "type": "message", "content": text}]}


def test_a_conversation_is_what_came_before_then_what_was_asked_and_answered() -> None:
    store = ResponseStore()
    store.put(response("b", "answer"), [{"content": "before"}], [{"content": "asked"}])
    stored = store.get("resp_b")
    assert stored is not None
    assert [item["content"] for item in stored.conversation()] == ["before", "asked", "answer"]
    assert stored.input_items() == [{"content": "asked"}]
    assert store.item("msg_b") == response("b", "answer")["output"][0]


def test_the_longest_unused_leave_when_there_are_too_many() -> None:
    store = ResponseStore(max_responses=2)
    store.put(response("a"), [], [])
    store.put(response("b"), [], [])
    store.get("resp_a")
    store.put(response("c"), [], [])
    assert [store.get(f"resp_{name}") is not None for name in "abc"] == [True, False, True]
    assert store.item("msg_b") is None


def test_as_many_leave_as_the_bytes_need_and_what_never_fits_is_not_kept() -> None:
    store = ResponseStore(max_bytes=3000)
    for name in "abc":
        store.put(response(name, "x" * 300), [], [{"content": name * 100}])
    assert len(store) == 3
    store.put(response("d", "x" * 1000), [], [])
    assert store.get("resp_d") is not None
    assert store.get("resp_a") is None
    store.put(response("e", "x" * 3000), [], [])
    assert store.get("resp_e") is None
    assert store.get("resp_d") is not None


def test_what_is_deleted_is_gone_with_its_items() -> None:
    store = ResponseStore()
    store.put(response("a"), [], [])
    assert store.delete("resp_a")
    assert not store.delete("resp_a")
    assert store.get("resp_a") is None
    assert store.item("msg_a") is None
