"""Backends for the wire's servers, and messages to send: what the tests of the wire and the client share."""

from __future__ import annotations

import gc
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import grpc
import numpy as np

from cluster.api.embedding import Pooling
from cluster.api.errors import (
    CapacityError,
    ClusterError,
    StageLostError,
    UnreachableError,
    UnsupportedModelError,
    UsageError,
)
from cluster.api.lists import Scales
from cluster.api.model import AdapterInfo, ModelInfo, TokenKind, VocabularyTable
from cluster.api.prompt import Pair, Segments
from cluster.api.results import FinishReason, Timings, TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.api.status import (
    ClusterStatus,
    Condition,
    Health,
    SlotState,
    SlotStatus,
    StageActivity,
    StageFacts,
    StageStatus,
)
from cluster.client.cancels import CANCELS
from cluster.messages.stage import Hello, Holdings, Wiring
from cluster.messages.step import Float32Array, Microbatch, StepId, StepTiming
from cluster.node.secret import Secret
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.access.proof import Proof
from cluster.wire.transport.channel import open_channel, port_of


class Spelled(list[int]):
    """Token ids of EchoCluster's, with the text that they came from."""

    def __init__(self, ids: Sequence[int], text: str) -> None:
        super().__init__(ids)
        self.text = text


SECRET = Secret(bytes(range(32)))
WIDTH = 8
VOCAB_SIZE = 50


def make_hello(**changes: object) -> Hello:
    fields: dict[str, object] = {
        "protocol_version": 1,
        "model_hash": "ab" * 32,
        "build": "0.3.36",
        "epoch": 3,
        "stage": 1,
        "num_stages": 2,
        "first": 4,
        "end": 8,
        "hidden_width": WIDTH,
        "wire_dtype": "f32",
        "num_slots": 4,
        "context_length": 128,
    }
    return Hello(**{**fields, **changes})  # type: ignore[arg-type]


def make_batch(step: int = 1, num_rows: int = 2, epoch: int = 3, **changes: object) -> Microbatch:
    rows = np.arange(num_rows, dtype=np.int32)
    fields: dict[str, object] = {
        "id": StepId(epoch, 0, step),
        "tokens": rows + 7,
        "positions": rows % 128,
        "slots": rows % 4,
        "wants_logits": np.ones(num_rows, np.bool_),
        "samples": rows,
        "returns_logits": rows[:0],
    }
    return Microbatch(**{**fields, **changes})  # type: ignore[arg-type]


def make_hidden(num_rows: int = 2, width: int = WIDTH) -> Float32Array:
    return np.arange(num_rows * width, dtype=np.float32).reshape(num_rows, width)


def endpoint(address: str) -> Endpoint:
    """With the secret that the servers of these tests are given."""
    return Endpoint(address, SECRET)


class _Proving(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Proves the secret with each call to a port, and leaves the answer unchecked."""

    def __init__(self, port: int) -> None:
        self._port = port

    def _intercept(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        proof = Proof(SECRET, self._port, details.method)
        return continuation(details._replace(metadata=(*(details.metadata or ()), *proof.metadata)), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_stream = _intercept


def open_proving_channel(address: str, **options: int) -> grpc.Channel:
    """For calls by the stubs, or of what no client of ours would send; `options` of gRPC take the place of ours."""
    named = [(f"grpc.{name}", value) for name, value in options.items()]
    channel = grpc.insecure_channel(address, named) if named else open_channel(address)
    return grpc.intercept_channel(channel, _Proving(port_of(address)))


class RecordingStage:
    """A StageBackend that keeps what it is given."""

    def __init__(self) -> None:
        self.accepted: list[Hello] = []
        self.wirings: list[Wiring] = []
        self.steps: queue.SimpleQueue[tuple[Microbatch, Float32Array | None]] = queue.SimpleQueue()
        self.grammars: list[str] = []
        self.refusal: ClusterError | None = None

    def accept(self, hello: Hello) -> None:
        self.accepted.append(hello)

    def submit(self, batch: Microbatch, hidden: Float32Array | None, received_ns: int) -> None:
        if self.refusal is not None:
            raise self.refusal
        assert received_ns <= time.monotonic_ns()
        self.steps.put((batch, hidden))

    def describe(self) -> StageFacts:
        return StageFacts(1, "node", "CPU", 4, 8, Health(), 42, 1, 2, 3, 4)

    def holdings(self, epoch: int) -> Holdings:
        if epoch > len(self.accepted):
            raise UnreachableError(f"epoch: stage 1 has not begun {epoch}")
        return Holdings(epoch - 1, (3, 0, 4))

    def rewire(self, wiring: Wiring) -> None:
        self.wirings.append(wiring)

    def compile(self, grammar: str) -> None:
        self.grammars.append(grammar)
        if self.refusal is not None:
            raise self.refusal


MODEL = ModelInfo(
    name="demo",
    hash="ab",
    architecture="llama",
    context_length=128,
    context_length_train=256,
    hidden_width=16,
    vocab_size=VOCAB_SIZE,
    vocab_type=2,
    num_parameters=1000,
    size_bytes=4000,
    file_type="all F32",
    bos=1,
    eos=None,
    end_tokens=(2, 3),
    add_bos=True,
    chat_templates={"": "{{ messages }}", "tool_use": "{{ tools }}"},
    metadata={"general.name": "demo"},
    adapters=(AdapterInfo("a.gguf", 0.5), AdapterInfo("b.gguf", -1.0)),
)
VOCABULARY = VocabularyTable(
    tuple(bytes([byte % 256]) for byte in range(VOCAB_SIZE)),
    tuple(TokenKind.CONTROL if token < 4 else TokenKind.NORMAL for token in range(VOCAB_SIZE)),
)


class EchoCluster:
    """An InferenceBackend without a model: it repeats the prompt's bytes, one event for each, then stops.

    The prompts "full", "lost" and "unsupported" fail; "wait" gives one event and then waits to be cancelled.
    """

    def __init__(self) -> None:
        self.params: list[SamplingParams] = []
        self.max_prompt_bytes = 16 << 20
        self.takes_pictures = False
        self.keeps_requests = False
        self.clients: list[str] = []
        self.scales: Scales | None = None  # that were to be set
        self.asked: list[
            tuple[str, str, bool]
        ] = []  # whose text was tokenised, as what, and whether with parse_special
        self.cancelled = threading.Event()
        self.num_open = 0
        self.max_open = 0
        self.pause_s = 0.0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def generate(
        self,
        token_ids: list[int],
        params: SamplingParams,
        sink: Callable[[TokenEvent | ClusterError], None],
        client: str,
        ticket: bytes = b"",
    ) -> Callable[[], None]:
        prompt = token_ids.text if isinstance(token_ids, Spelled) else token_ids
        self.params.append(params)
        self.clients.append(client)
        if prompt == "full":
            raise CapacityError("queue: 256 requests wait; ask again later")
        ids = list(prompt.encode()) if isinstance(prompt, str) else prompt
        cancelled = threading.Event()
        thread = threading.Thread(target=self._run, args=(prompt, ids, params, sink, cancelled))
        self._threads.append(thread)
        thread.start()

        def cancel() -> None:
            cancelled.set()
            self.cancelled.set()

        return cancel

    def resume(
        self, ticket: bytes, num_received: int, sink: Callable[[TokenEvent | ClusterError], None]
    ) -> Callable[[], None] | None:
        return None

    def logits(
        self, token_ids: list[int], sink: Callable[[Float32Array | ClusterError | None], None], client: str
    ) -> Callable[[], None]:
        for start in range(0, len(token_ids), 2):
            chunk = np.asarray(token_ids[start : start + 2], np.float32)
            sink(chunk[:, None] + np.arange(VOCAB_SIZE, dtype=np.float32) / 128)
        sink(None)
        return self.cancelled.set

    @property
    def num_slots(self) -> int:
        return 2

    def embed(
        self,
        token_ids: list[int],
        pooling: Pooling | None,
        sink: Callable[[Float32Array | ClusterError], None],
        client: str,
    ) -> Callable[[], None]:
        """Token ids as they are, cut or filled up to four; of none an error."""
        if pooling is Pooling.RANK:
            token_ids = [sum(token_ids)]
        found = np.array([*token_ids, 0, 0, 0, 0][:4], np.float32)
        self._threads.append(threading.Thread(target=sink, args=(found if token_ids else UsageError("inputs: empty"),)))
        self._threads[-1].start()
        return self.cancelled.set

    async def tokenize(self, client: str, field: str, segments: Segments, add_special: bool) -> list[int]:
        text = "".join(segment.text for segment in segments)
        spelled = [([2] if segment.parse_special else []) + list(segment.text.encode()) for segment in segments]
        self.asked.append((client, field, any(segment.parse_special for segment in segments)))
        return Spelled([1] * add_special + list(chain.from_iterable(spelled)), text)

    async def tokenize_pair(self, client: str, pair: Pair) -> list[int]:
        return [*pair.query.encode(), 0, *pair.document.encode()]

    def check_grammar(self, grammar: str) -> None:
        if grammar == "bad":
            raise UsageError("grammar: it is bad; correct it")

    def detokenize(self, token_ids: list[int]) -> str:
        return bytes(token_ids).decode()

    def model(self) -> ModelInfo:
        return MODEL

    def adapters(self, scales: Scales | None) -> tuple[AdapterInfo, ...]:
        self.scales = scales
        return MODEL.adapters

    def vocabulary(self) -> VocabularyTable:
        return VOCABULARY

    def status(self) -> ClusterStatus:
        facts = StageFacts(0, "n", "CPU", 0, 4, Health(Condition.LOST, "gone"), 7, 10, 20, 30, 40)
        stage = StageStatus(facts, StageActivity(0.5, 1.25, 9), "127.0.0.1:1")
        return ClusterStatus(
            "demo",
            "ab",
            "llama",
            Health(),
            "127.0.0.1:2",
            1,
            128,
            4,
            0,
            0,
            5,
            99,
            12.5,
            VOCAB_SIZE,
            (stage,),
            num_recoveries=2,
            lost_s=3.5,
            num_replayed=640,
            draft="auto",
            num_drafted=40,
            num_accepted=30,
            num_dropped_runs=3,
        )

    def slots(self) -> tuple[SlotStatus, ...]:
        return SlotStatus(0), SlotStatus(1, SlotState.GENERATING, 9, 4, 12, 3, 1.5)

    def intervals(self) -> Sequence[StepTiming]:
        return [StepTiming(StepId(1, 0, 5), 1, 2, 10, 20, 5)]

    def join(self) -> None:
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _run(
        self,
        prompt: str | list[int],
        ids: list[int],
        params: SamplingParams,
        sink: Callable[[TokenEvent | ClusterError], None],
        cancelled: threading.Event,
    ) -> None:
        with self._lock:
            self.num_open += 1
            self.max_open = max(self.max_open, self.num_open)
        try:
            for event in self._events(prompt, ids, params):
                if cancelled.wait(self.pause_s):
                    return
                sink(event)
            if prompt == "wait":
                assert cancelled.wait(20)
        finally:
            with self._lock:
                self.num_open -= 1

    def _events(
        self, prompt: str | list[int], ids: list[int], params: SamplingParams
    ) -> Iterator[TokenEvent | ClusterError]:
        if prompt == "unsupported":
            yield UnsupportedModelError("architecture: x is unknown; take another")
            return
        if prompt == "":
            yield UsageError("prompt: it is empty; give some text")
            return
        ids = ids[: params.max_tokens]
        for index, token in enumerate(ids):
            if index and prompt == "wait":
                return
            if index and prompt == "lost":
                yield StageLostError("stage 1 on node: it died; ask again")
                return
            top = ((token, -0.5),) * params.logprobs
            yield TokenEvent(token, chr(token), -0.5, top)
        yield TokenEvent(None, "", finish_reason=FinishReason.STOP, timings=Timings(num_tokens=len(ids), decode_ms=1.5))


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Fails if a thread that the block started is alive a moment after it; but for the one that all clients share."""
    CANCELS.start()
    before = set(threading.enumerate())
    yield
    deadline_s = time.monotonic() + 5
    gc.collect()  # grpc.aio ends its poller with its last object
    while left := [thread.name for thread in threading.enumerate() if thread not in before]:
        assert time.monotonic() < deadline_s, f"threads left: {left}"
        time.sleep(0.01)


def wait_until(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.002)
