"""Templates and messages that mean harm: the request ends with an error, and the next one is answered."""

from __future__ import annotations

import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.api.errors import CapacityError, ClusterError, UsageError
from cluster.chat.templates import renderer as renderer_module
from cluster.chat.templates.render_child import MAX_MEMORY_BYTES
from cluster.chat.templates.renderer import Renderer
from tests.fakes.wire_backends import wait_until
from tests.unit.chat.templates.vocabularies import templates, user

HELLO = "{{ messages[0].content }}"
ATTACKS = {
    "a long product": ("{{ messages[0].content * 300000000 }}", "more than (512|4) MiB"),
    "a longer one": ("{{ messages[0].content * 30000000000 }}", "more than 512 MiB"),
    "a wide number": ("{{ '%0100000000d' % messages|length }}", "more than (512|4) MiB"),
    "doubling": (
        "{% set n = namespace(s=messages[0].content) %}{% for i in range(40) %}{% set n.s = n.s ~ n.s %}{% endfor %}x",
        "more than 512 MiB",
    ),
    "loops in loops": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
        "{% endfor %}{% endfor %}{% endfor %}",
        "more than 2 s",
    ),
    "a power": ("{{ 9 ** (9 ** (9 ** messages|length)) }}", "more than 2 s"),
    "much output": ("{% for i in range(99999) %}{{ 'x' * 99 }}{% endfor %}", "more than 4 MiB"),
    "a long range": ("{{ range(100001)|length }}", "OverflowError: Range too big"),
    "endless recursion": ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "RecursionError"),
    "a class": ("{{ messages.__class__.__mro__ }}", "SecurityError"),
    "a class by another way": ("{{ (messages|attr('__class__')).__mro__ }}", "(SecurityError|UndefinedError)"),
    "a class in a format": ("{{ '{0.__class__.__mro__}'.format(messages) }}", "SecurityError"),
    "globals of a function": ("{{ raise_exception.__globals__['sys'] }}", "SecurityError"),
    "an attribute by map": ("{{ (messages|map(attribute='__class__')|list)[0].__mro__ }}", "(SecurityError|Undefined)"),
    "what is not there": ("{{ cycler.__init__ }}{{ lipsum() }}", "UndefinedError"),
    "an import": ("{% import 'os' as os %}", "TypeError"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_template_that_means_harm(attack: str) -> None:
    """Beside another one of the same model, in the same process."""
    source, why = ATTACKS[attack]
    renderer = Renderer((source, HELLO))
    variables = {"messages": [{"role": "user", "content": "a"}]}
    try:
        assert renderer.render(1, variables).text == "a"
        with pytest.raises(UsageError, match=f"messages: the model's chat template cannot render them: .*{why}"):
            renderer.render(0, variables)
        assert renderer.render(1, variables).text == "a"
    finally:
        renderer.close()


def test_the_process_may_take_so_much_memory_and_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_SECRET", "1234")
    renderer = Renderer((HELLO,))
    try:
        renderer.render(0, {"messages": [{"content": "a"}]})
        assert renderer._child is not None
        limits = Path(f"/proc/{renderer._child.pid}/limits").read_text()
        assert re.search(rf"Max address space\s+{MAX_MEMORY_BYTES}\s+{MAX_MEMORY_BYTES}", limits)
    finally:
        renderer.close()


def test_a_template_that_kills_the_compiler_is_of_no_use() -> None:
    with templates("{{ " + "-" * 100_000 + "1 }}") as found, pytest.raises(UsageError, match="cannot be used"):
        found.render(user("a"))


def test_a_process_that_was_killed_is_started_again() -> None:
    with templates(HELLO) as found:
        assert found.render(user("a")).text == "a"
        child = found._renderer._child
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        wait_until(lambda: child.exit_code is not None)
        assert found.render(user("b")).text == "b"


def test_a_process_that_is_killed_under_a_request() -> None:
    with templates(HELLO) as found:
        found.render(user("a"))
        child = found._renderer._child
        assert child is not None
        os.kill(child.pid, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(found.render, user("b"))
            os.kill(child.pid, signal.SIGKILL)
            error = asked.exception(30)
        assert error is None  # it was asked again, of another process
        assert found.render(user("c")).text == "c"


def test_a_question_of_which_the_process_reads_no_word() -> None:
    """What is left of it in a pipe is no error of its own."""
    with templates(HELLO) as found:
        found.render(user("a"))
        child = found._renderer._child
        assert child is not None
        os.kill(child.pid, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(found.render, user("b" * 1_000_000))  # more than a pipe holds
            os.kill(child.pid, signal.SIGKILL)
            error = asked.exception(30)
        assert error is None


def test_nothing_runs_before_it_is_needed_or_after_the_end() -> None:
    with templates(HELLO) as found:
        assert found._renderer._child is None
        found.render(user("a"))
        child = found._renderer._child
    assert child is not None
    assert child.exit_code is not None
    with pytest.raises(ClusterError, match="closed"):
        found.render(user("a"))


def test_many_threads_ask_at_once() -> None:
    with templates(HELLO) as found, ThreadPoolExecutor(8) as threads:
        texts = [f"text {place}" for place in range(40)]
        assert [one.text for one in threads.map(lambda text: found.render(user(text)), texts)] == texts


def test_a_queue_that_does_not_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer_module, "TURN_TIMEOUT_S", 0.01)
    renderer = Renderer((HELLO,))
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with renderer._in_turn():
            entered.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(10)
    try:
        with pytest.raises(CapacityError, match="ask again later"):
            renderer.render(0, {})
    finally:
        leave.set()
        holder.join()
        renderer.close()
