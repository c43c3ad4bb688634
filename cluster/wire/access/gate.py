"""The gate of a server: who does not prove to know its secret is turned away before anything is done for them.

A stranger's call takes no thread of the handlers and no place among the calls that a server allows, whether it
ever sends its request or not, and learns nothing but that it was refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, NoReturn

import grpc

from cluster.api.errors import UnauthenticatedError
from cluster.wire.access.caller import Context
from cluster.wire.access.endpoint import Listener
from cluster.wire.access.proof import Metadata, answer_to
from cluster.wire.access.strangers import Strangers
from cluster.wire.transport.status import aborting, metadata_of

REFUSED = "the secret of this cluster was not given"

_Handler = Any  # grpc.RpcMethodHandler, whose fields its stubs leave out
_BEHAVIOURS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class Gate(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """For a server with threads. gRPC asks it on the thread that takes events, before a handler's is taken."""

    def __init__(self, listener: Listener, strangers: Strangers) -> None:
        """`strangers` knows our port, and is told of each connection over which the secret was proved."""
        self._listener = listener
        self._strangers = strangers

    def intercept_service(self, continuation: Callable[[Any], _Handler], details: Any) -> _Handler:
        answer = answer_to(self._listener.secret, self._strangers.port, details.method, details.invocation_metadata)
        if answer is None:
            return _REFUSAL
        handler = continuation(details)
        return (
            None
            if handler is None
            else _with_answer(handler, _Admission(self._listener, self._strangers, answer), _answering)
        )


class AioGate(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """For a server on an event loop."""

    def __init__(self, listener: Listener, strangers: Strangers, told: Metadata = ()) -> None:
        """`told`: what every caller who has proved the secret is told beside our proof."""
        self._listener = listener
        self._strangers = strangers
        self._told = told

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[_Handler]], details: Any) -> _Handler:
        answer = answer_to(self._listener.secret, self._strangers.port, details.method, details.invocation_metadata)
        if answer is None:
            return _AIO_REFUSAL
        handler = await continuation(details)
        return (
            None
            if handler is None
            else _with_answer(handler, _Admission(self._listener, self._strangers, answer + self._told), _aio_answering)
        )


class _AtOnce(ThreadPoolExecutor):
    """Runs what it is given in the thread that gives it: for a refusal, which waits for nothing."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(call(*args, **options))
        return done


def _refuse(requests: Iterator[bytes], context: grpc.ServicerContext) -> NoReturn:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, REFUSED)


async def _aio_refuse(requests: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, REFUSED)


# A handler of streams can answer before a request has come: of another kind, it would wait for that of a stranger.
_refuse.experimental_thread_pool = _AtOnce(1)  # type: ignore[attr-defined]  # gRPC's name for it; starts no thread
_REFUSAL = grpc.stream_stream_rpc_method_handler(_refuse)
_AIO_REFUSAL = grpc.stream_stream_rpc_method_handler(_aio_refuse)


class _Admission(NamedTuple):
    """A call that proves the secret, before its handler begins."""

    listener: Listener
    strangers: Strangers
    answer: Metadata

    def admit(self, context: Context) -> None:
        """The connection stays. UnauthenticatedError where a certificate was shown that is no node's."""
        self.listener.caller(context)
        self.strangers.admit(context.peer())


def _with_answer(handler: _Handler, admission: _Admission, answering: Callable[..., Any]) -> _Handler:
    """The handler, whose answers begin with our proof."""
    (name,) = (name for name in _BEHAVIOURS if getattr(handler, name) is not None)
    return handler._replace(**{name: answering(getattr(handler, name), admission)})


def _answering(behaviour: Callable[..., Any], admission: _Admission) -> Callable[..., Any]:
    def answered(request: Any, context: grpc.ServicerContext) -> Any:
        with aborting(context):
            admission.admit(context)
        context.send_initial_metadata(admission.answer)
        return behaviour(request, context)

    return answered


def _aio_answering(behaviour: Callable[..., Awaitable[Any]], admission: _Admission) -> Callable[..., Awaitable[Any]]:
    async def answered(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            admission.admit(context)
        except UnauthenticatedError as error:
            context.set_trailing_metadata(metadata_of(error))
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        await context.send_initial_metadata(admission.answer)
        return await behaviour(request, context)

    return answered
