"""What begins with a slash changes the conversation, or says why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.api.errors import UsageError
from cluster.api.sampling import SamplingParams
from cluster.chat.messages import Message, Role
from cluster.cli.chat.commands import COMMANDS, run_command
from cluster.cli.chat.conversation import Conversation


@pytest.fixture
def conversation() -> Conversation:
    found = Conversation(SamplingParams(), "Be brief.")
    found.say("one")
    found.answered(Message(Role.ASSISTANT, "1", "hm"))
    found.say("two")
    found.answered(Message(Role.ASSISTANT, "2"))
    return found


def texts(conversation: Conversation) -> list[str]:
    return [message.content for message in conversation.asked()]


def test_help_names_all(conversation: Conversation) -> None:
    shown = run_command("/help", conversation).text
    assert all(name in shown for name in COMMANDS)


def test_parameters_are_set_as_json_or_text(conversation: Conversation) -> None:
    assert run_command("/set temperature 0.5", conversation).text == "temperature is 0.5"
    run_command("/set top_k=7", conversation)
    run_command('/set stop ["a", "b"]', conversation)
    assert conversation.params == SamplingParams(temperature=0.5, top_k=7, stop=("a", "b"))
    assert "temperature: 0.5" in run_command("/show", conversation).text
    for wrong, begin in (
        ("/set temperature hot", "temperature: "),
        ("/set temprature 1", "temprature: "),
        ("/set temperature", "/set: "),
        ("/set", "/set: "),
    ):
        with pytest.raises(UsageError, match=f"^{begin}"):
            run_command(wrong, conversation)


def test_the_last_message_is_unsaid_or_said_again(conversation: Conversation) -> None:
    assert run_command("/retry", conversation).ask_again == "two"
    assert texts(conversation) == ["Be brief.", "one", "1"]
    run_command("/undo", conversation)
    assert texts(conversation) == ["Be brief."]
    with pytest.raises(UsageError, match=r"^/undo: "):
        run_command("/undo", conversation)


def test_instructions_are_given_and_taken_away(conversation: Conversation) -> None:
    run_command("/system Speak French.", conversation)
    assert conversation.asked()[0] == Message(Role.SYSTEM, "Speak French.")
    run_command("/system", conversation)
    run_command("/reset", conversation)
    assert conversation.asked() == []


def test_what_is_saved_is_loaded(conversation: Conversation, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    run_command(f"/save {path}", conversation)
    roles = [item["role"] for item in json.loads(path.read_text())]
    assert roles == ["system", "user", "assistant", "user", "assistant"]
    other = Conversation(SamplingParams())
    run_command(f"/load {path}", other)
    assert other.asked() == conversation.asked()


def test_what_cannot_be_loaded_changes_nothing(conversation: Conversation, tmp_path: Path) -> None:
    before = conversation.asked()
    (tmp_path / "no.json").write_text("{")
    (tmp_path / "none.json").write_text("[]")
    (tmp_path / "robot.json").write_text('[{"role": "robot"}]')
    (tmp_path / "bytes.json").write_bytes(b"\xff")
    for name in ("no.json", "none.json", "robot.json", "bytes.json", "missing.json", ""):
        with pytest.raises(UsageError, match=r"^/load: "):
            run_command(f"/load {tmp_path / name if name else ''}", conversation)
    with pytest.raises(UsageError, match=r"^/save: "):
        run_command(f"/save {tmp_path}", conversation)
    assert conversation.asked() == before


def test_an_unknown_command_names_the_nearest(conversation: Conversation) -> None:
    with pytest.raises(UsageError, match="/retry"):
        run_command("/rety", conversation)
    assert run_command("/exit", conversation).is_over
