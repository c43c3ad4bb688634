"""More than the server can take, clients that behave badly, and going down: what it costs whom."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from cluster.http import answering, connection, service
from cluster.http.settings import HttpSettings
from tests.fakes.wire_backends import wait_until
from tests.http.serving import Answer, Served, asked, serving

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance
LONG: dict[str, Any] = {"prompt": "Once", "max_tokens": 400, "ignore_eos": True}


def raw_request(served: Served, body: dict[str, Any], *options: tuple[int, int, int]) -> socket.socket:
    """A connection on which that was asked; the caller reads and closes."""
    host, _, port = served.host.partition(":")
    data = json.dumps(body).encode()
    opened = socket.socket()
    for option in options:
        opened.setsockopt(*option)
    opened.connect((host, int(port)))
    head = f"POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(data)}\r\n\r\n"
    opened.sendall(head.encode() + data)
    return opened


def num_open(served: Served) -> float:
    """Requests whose answer is being made, as the server counts them."""
    text = served.get("/metrics").content.decode()
    (line,) = [line for line in text.splitlines() if line.startswith("ggml_cluster_http_requests_open ")]
    return float(line.split()[1])


@contextmanager
def idle_connections(served: Served, number: int, said: bytes) -> Iterator[list[socket.socket]]:
    host, _, port = served.host.partition(":")
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(number)]
        for one in found:
            one.sendall(said)
        yield found


@conformance(row=44, client="curl")
def test_more_than_fits_is_refused_with_a_time_to_come_again(slice_cache: None) -> None:
    """Four times as much as slots and queue hold, at once: those who are taken get all that they asked for."""
    body = {"prompt": "Once", "max_tokens": 60, "ignore_eos": True}
    with (
        serving(num_slots=2, max_waiting=2, context_length=128) as served,
        ThreadPoolExecutor(16) as threads,
    ):
        answers = list(threads.map(lambda _: served.post("/v1/completions", body), range(16)))
        taken = [answer for answer in answers if answer.status == 200]
        refused = [answer for answer in answers if answer.status != 200]
        assert len(taken) >= 4
        assert refused
        assert all(answer.json()["usage"]["completion_tokens"] == 60 for answer in taken)
        for answer in refused:
            assert answer.status == 429
            assert int(answer.headers["retry-after"]) >= 1
            assert int(answer.headers["retry-after-ms"]) > 0
            assert answer.json()["error"]["code"] == "queue_full"
        assert served.post("/v1/completions", body).status == 200
        served.wait_idle()


def test_the_server_has_a_bound_of_its_own(served: Served) -> None:
    """Which refuses before a byte of the body is looked at."""
    with serving(HttpSettings(port=0, max_streams=1), cluster=served) as found, raw_request(found, LONG):
        wait_until(lambda: num_open(found) == 1)
        answer = found.post("/v1/completions", b"this is no JSON")
        assert (answer.status, answer.json()["error"]["code"]) == (429, "queue_full")
    served.wait_idle()


def test_those_who_connect_and_say_nothing_harm_nobody(served: Served) -> None:
    half = b"POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-le"
    with idle_connections(served, 150, b""), idle_connections(served, 150, half):
        assert served.post("/v1/completions", LONG | {"max_tokens": 4}).status == 200


def test_whoever_says_half_a_request_is_not_waited_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_S", 0.2)
    half = b"POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-le"
    for said in (b"", half):
        with idle_connections(served, 1, said) as (one,):
            one.settimeout(10)
            assert one.recv(100) == b""


def test_connections_are_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(cluster=served) as found:
        monkeypatch.setattr(connection, "MAX_CONNECTIONS", 8)
        with idle_connections(found, 8, b""):
            wait_until(lambda: _is_refused(found))
        wait_until(lambda: not _is_refused(found))


def _is_refused(served: Served) -> bool:
    try:
        return served.get("/livez").status != 200
    except OSError:
        return True


def test_a_client_that_reads_nothing_is_cut_off(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only it: what it did not take is not kept for it, and its slot is free."""
    monkeypatch.setattr(service, "SEND_BUFFER_BYTES", 4096)
    monkeypatch.setattr(connection, "WRITE_BUFFER_BYTES", 4096)
    monkeypatch.setattr(answering, "STALLED_S", 1.0)
    small = (socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    with serving(cluster=served) as found:
        # A kilobyte for each token: far more than all buffers on the way hold.
        with raw_request(found, LONG | {"stream": True, "logprobs": 20}, small) as stalled:
            wait_until(lambda: num_open(found) == 1)
            assert found.post("/v1/completions", LONG | {"max_tokens": 8}).status == 200
            wait_until(lambda: num_open(found) == 0, 20)
            stalled.settimeout(10)
            with pytest.raises(ConnectionResetError):
                while stalled.recv(1 << 16):
                    pass
        found.wait_idle()


def test_a_client_that_reads_nothing_of_a_short_answer_holds_no_slot(served: Served) -> None:
    with raw_request(served, LONG | {"stream": True}) as unread:
        wait_until(lambda: num_open(served) == 1)
        served.wait_idle()
        wait_until(lambda: num_open(served) == 0)
        unread.settimeout(10)
        assert unread.recv(100).startswith(b"HTTP/1.1 200")


def test_a_storm_of_clients_that_go(served: Served) -> None:
    """Each after another number of bytes; nothing is left of any of them."""
    choose = random.Random(7)

    def come_and_go(number: int) -> None:
        with raw_request(served, LONG | {"stream": number % 3 > 0, "seed": number}) as opened:
            opened.settimeout(30)
            wanted = choose.choice((0, 1, 300, 2000, 10_000)) if number % 3 else 0
            while wanted > 0 and (part := opened.recv(wanted)):
                wanted -= len(part)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(come_and_go, range(60)))
    served.wait_idle()
    wait_until(lambda: num_open(served) == 0)
    assert served.post("/v1/completions", LONG | {"max_tokens": 4}).status == 200


def test_a_deadline_of_the_client(served: Served) -> None:
    deadline = {"x_request_timeout_ms": "150"}
    answer = served.post("/v1/completions", LONG, **deadline)
    assert (answer.status, answer.json()["error"]["type"]) == (504, "timeout_error")
    events = served.post("/v1/completions", LONG | {"stream": True}, **deadline).events()
    assert "deadline" in events[-1]["error"]["message"]
    assert served.post("/v1/completions", LONG | {"max_tokens": 2}, x_request_timeout_ms="60000").status == 200
    served.wait_idle()


def test_going_down_lets_those_finish_who_have_begun(served: Served) -> None:
    with serving(cluster=served) as found, ThreadPoolExecutor(2) as threads:
        running = threads.submit(found.post, "/v1/completions", LONG)
        wait_until(lambda: num_open(found) == 1)
        stopping = threads.submit(found.http.stop, 60)
        wait_until(lambda: found.get("/health").status == 503)
        assert found.get("/readyz").status == 503
        assert found.get("/livez").status == 200
        answer = found.post("/v1/completions", LONG)
        assert answer.status == 503
        assert "shutting down" in answer.json()["error"]["message"]
        assert running.result(60).json()["usage"]["completion_tokens"] == 400
        stopping.result(60)
        with pytest.raises(ConnectionRefusedError):
            asked(found.url, "GET", "/livez")


def test_a_second_request_to_go_down_does_not_wait(served: Served) -> None:
    with serving(cluster=served) as found, ThreadPoolExecutor(2) as threads:
        running = threads.submit(found.post, "/v1/completions", LONG)
        wait_until(lambda: num_open(found) == 1)
        first = threads.submit(found.http.stop, 60)
        wait_until(lambda: found.get("/health").status == 503)
        found.http.stop()
        first.result(10)
        answer: Answer = running.result(10)
        assert answer.status == 503
        assert "shutting down" in answer.json()["error"]["message"]
    served.wait_idle()
