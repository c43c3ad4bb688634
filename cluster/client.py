"""The client: ``cluster.connect()`` and what can be asked of a cluster. Needs gRPC and numpy, no Ray."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

import grpc

from cluster.batch import SMALL_BATCH, Batch, num_open_for
from cluster.batch_progress import BatchProgress, Progress
from cluster.errors import ClusterError, UsageError
from cluster.messages import ClusterStatus, Completion, Float32Array, StepTiming, TokenEvent
from cluster.sampling import SamplingParams
from cluster.wire import calls
from cluster.wire.calls import Call
from cluster.wire.channel import CONNECT_TIMEOUT_MS, open_channel
from cluster.wire.completion import complete
from cluster.wire.prompts import Prompt, Prompts, is_batch
from cluster.wire.service import serialize

Result = TypeVar("Result")


def connect(address: str | None = None) -> Client:
    """A client of the cluster at `address` ("host:port"), which has answered.

    Without an address: that in CLUSTER_ADDRESS, else that of the cluster that ``cluster up`` started here.
    Raises UnreachableError within a few seconds if nothing answers, HandshakeError if it is another version.
    """
    client = Client(address)
    try:
        client.status(timeout_s=CONNECT_TIMEOUT_MS / 1000)
    except BaseException:
        client.close()
        raise
    return client


class TokenStream(Iterator[TokenEvent]):
    """The events of one request. Closing it, or dropping it, cancels the request on all stages."""

    def __init__(self, messages: Any, decode: Callable[[bytes], list[TokenEvent]], address: str) -> None:
        self._messages = messages
        self._decode = decode
        self._address = address
        self._events: deque[TokenEvent] = deque()
        self._is_closed = False

    def __next__(self) -> TokenEvent:
        while not self._events:
            self._events.extend(self._decode(self._next_message()))
        return self._events.popleft()

    def close(self) -> None:
        """Cancels the request unless it has ended; nothing more is yielded."""
        self._is_closed = True
        self._events.clear()
        self._messages.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next_message(self) -> bytes:
        try:
            if self._is_closed:
                raise StopIteration
            return bytes(next(self._messages))
        except grpc.RpcError as error:
            if self._is_closed:
                raise StopIteration from None
            raise calls.call_error(error, self._address) from None


class Client:
    """Talks to one cluster over one connection. Threads may share it; a context manager that closes it.

    `address` as for `connect`, but nothing is called yet. All methods raise the errors of `cluster.errors`:
    UsageError for a request that cannot be, CapacityError when the cluster is full, UnreachableError when it
    is gone, StageLostError when one of its stages is.
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = calls.resolve_address(address)
        self._channel = open_channel(self.address)
        self._is_closed = False

    @overload
    def generate(self, prompt: Prompt, params: SamplingParams | None = None, **overrides: Any) -> Completion: ...
    @overload
    def generate(
        self,
        prompt: Prompts,
        params: SamplingParams | None = None,
        *,
        progress: Progress = None,
        return_errors: Literal[False] = False,
        **overrides: Any,
    ) -> list[Completion]: ...
    @overload
    def generate(
        self,
        prompt: Prompts,
        params: SamplingParams | None = None,
        *,
        progress: Progress = None,
        return_errors: Literal[True],
        **overrides: Any,
    ) -> list[Completion | ClusterError]: ...
    def generate(
        self,
        prompt: Prompt | Prompts,
        params: SamplingParams | None = None,
        *,
        progress: Progress = None,
        return_errors: bool = False,
        **overrides: Any,
    ) -> Completion | list[Completion] | list[Completion | ClusterError]:
        """The completion of a text or of token ids; for several of those, a list in the same order.

        `overrides` replace single fields of `params`. Several prompts are a list, or an iterator, from which they
        are taken as slots come free. They run at the same time, as many as the cluster has slots; a full queue is
        asked again, for up to ten minutes in which nothing ends. When one fails the others go on, and at the end
        its error is raised: its `completions` hold what became of each prompt, a Completion or a ClusterError. With
        `return_errors` that list is returned instead. A lost cluster ends the batch, and an exception in this
        thread, such as KeyboardInterrupt, too.

        progress: True shows how far the batch is on stderr, None where that is a terminal; a function is called
        with the numbers of prompts done and in all (taken so far, of an iterator).
        """
        if not is_batch(prompt):
            calls.check_single(return_errors)
            return self._complete(self._open(calls.generate_call(prompt, params, overrides, in_one_piece=True)))
        found, num_total = calls.batch_calls(prompt, params, overrides)
        with BatchProgress(progress) as report:
            batch = Batch(found, num_total, self._num_to_open(num_total), report)
            self._run_batch(batch)
        return batch.results(return_errors)

    def stream(self, prompt: Prompt | Prompts, params: SamplingParams | None = None, **overrides: Any) -> TokenStream:
        """The events of one prompt's completion, as they come; the last one has a finish_reason."""
        return self._open(calls.generate_call(prompt, params, overrides, in_one_piece=False))

    def logits(self, token_ids: Iterable[int]) -> Float32Array:
        """The logits [T, V] that follow each of T token ids."""
        call, rows = calls.logits_call(token_ids)
        messages = self._start_stream(call)
        try:
            for data in messages:
                rows.add(call.decode(data))
        except grpc.RpcError as error:
            raise calls.call_error(error, self.address) from None
        finally:
            messages.cancel()
        return rows.finish()

    def tokenize(self, text: str, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """The token ids of `text`.

        add_special: with the tokens that the model expects around a text (such as BOS).
        parse_special: the names of control tokens in the text become these tokens.
        """
        return self._unary(calls.tokenize_call(text, add_special, parse_special))

    def detokenize(self, token_ids: Iterable[int]) -> str:
        """The text of token ids."""
        return self._unary(calls.detokenize_call(token_ids))

    def status(self, timeout_s: float | None = None) -> ClusterStatus:
        """The cluster now, with a row for each stage."""
        return self._unary(calls.status_call(), timeout_s)

    def intervals(self) -> list[StepTiming]:
        """When each stage computed which step, of late; a step may be told up to half a second after it."""
        return self._unary(calls.intervals_call())

    def close(self) -> None:
        """Cancels what is running and closes the connection."""
        self._is_closed = True
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _unary(self, call: Call[Result], timeout_s: float | None = None) -> Result:
        self._check_open()
        method = self._channel.unary_unary(call.path, serialize, bytes)
        try:
            data = method(call.request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise calls.call_error(error, self.address) from None
        return call.decode(data)

    def _start_stream(self, call: Call[Any]) -> Any:
        self._check_open()
        return self._channel.unary_stream(call.path, serialize, bytes)(call.request)

    def _open(self, call: Call[list[TokenEvent]]) -> TokenStream:
        return TokenStream(self._start_stream(call), call.decode, self.address)

    def _complete(self, stream: TokenStream) -> Completion:
        with stream:
            return complete(stream)

    def _num_to_open(self, num_total: int | None) -> int:
        if num_total is not None and num_total <= SMALL_BATCH:
            return max(1, num_total)
        num_open = num_open_for(self.status().num_slots)
        return num_open if num_total is None else min(num_open, num_total)

    def _run_batch(self, batch: Batch[Call[list[TokenEvent]]]) -> None:
        """Threads read the streams; this one decides. However it ends, no stream is left open."""
        outcomes: SimpleQueue[tuple[int, Completion | BaseException]] = SimpleQueue()
        running: set[TokenStream] = set()
        stopping = threading.Event()

        def run(place: int, call: Call[list[TokenEvent]]) -> None:
            try:
                stream = self._open(call)
                running.add(stream)
                if stopping.is_set():
                    stream.close()
                try:
                    outcomes.put((place, self._complete(stream)))
                finally:
                    running.discard(stream)
            except BaseException as error:
                outcomes.put((place, error))

        with ThreadPoolExecutor(batch.max_open, "cluster-generate") as threads:
            try:
                while not batch.is_done:
                    for place, call in batch.to_send(time.monotonic()):
                        threads.submit(run, place, call)
                    _settle_next(batch, outcomes)
            finally:
                stopping.set()
                threads.shutdown(wait=False, cancel_futures=True)
                for stream in tuple(running):
                    stream.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise UsageError("client: it is closed; connect again")


def _settle_next(batch: Batch[Any], outcomes: SimpleQueue[tuple[int, Completion | BaseException]]) -> None:
    """Wait for one answer, no longer than until the batch has more to send."""
    if batch.is_done:  # the last prompts could not be sent at all
        return
    try:
        place, outcome = outcomes.get(timeout=batch.wait_s(time.monotonic()))
    except Empty:
        return
    if not isinstance(outcome, Completion | ClusterError):
        raise outcome
    batch.settle(place, outcome, time.monotonic())
