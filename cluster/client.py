"""The client: ``cluster.connect()`` and what can be asked of a cluster. Needs gRPC and numpy, no Ray."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import grpc

from cluster.errors import UsageError
from cluster.messages import ClusterStatus, Completion, Float32Array, StepTiming, TokenEvent
from cluster.sampling import SamplingParams
from cluster.wire import calls
from cluster.wire.calls import Call
from cluster.wire.channel import CONNECT_TIMEOUT_MS, open_channel
from cluster.wire.completion import MAX_OPEN_STREAMS, complete
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
    def generate(self, prompt: Prompts, params: SamplingParams | None = None, **overrides: Any) -> list[Completion]: ...
    def generate(
        self, prompt: Prompt | Prompts, params: SamplingParams | None = None, **overrides: Any
    ) -> Completion | list[Completion]:
        """The completion of a text or of token ids; for a list of those, a list in the same order.

        `overrides` replace single fields of `params`. Several prompts run at the same time; when one fails,
        the others are cancelled and its error is raised.
        """
        if not is_batch(prompt):
            return self._complete(self.stream(prompt, params, **overrides))
        batch = [calls.generate_call(one, params, overrides) for one in prompt]
        return self._complete_all(batch)

    def stream(self, prompt: Prompt | Prompts, params: SamplingParams | None = None, **overrides: Any) -> TokenStream:
        """The events of one prompt's completion, as they come; the last one has a finish_reason."""
        return self._open(calls.generate_call(prompt, params, overrides))

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
        """When each stage computed which step, in the last window."""
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

    def _complete_all(self, batch: list[Call[list[TokenEvent]]]) -> list[Completion]:
        if not batch:
            return []
        running: set[TokenStream] = set()
        failed = threading.Event()

        def run(call: Call[list[TokenEvent]]) -> Completion:
            stream = self._open(call)
            running.add(stream)
            if failed.is_set():
                stream.close()
            try:
                return self._complete(stream)
            finally:
                running.discard(stream)

        with ThreadPoolExecutor(min(len(batch), MAX_OPEN_STREAMS), "cluster-generate") as threads:
            futures = [threads.submit(run, call) for call in batch]
            try:
                for finished in as_completed(futures):
                    finished.result()  # raises the first error
            except BaseException:
                failed.set()
                threads.shutdown(wait=False, cancel_futures=True)
                for stream in tuple(running):
                    stream.close()
                raise
        return [future.result() for future in futures]

    def _check_open(self) -> None:
        if self._is_closed:
            raise UsageError("client: it is closed; connect again")
