"""How an error ends a call."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from cluster.api.errors import ClusterError
from cluster.wire.transport.status import detail_of, metadata_of, status_of

Context = grpc.aio.ServicerContext[Any, Any]
_log = logging.getLogger(__name__)


def aborting(
    method: Callable[[Any, Context], Awaitable[Any]],
) -> Callable[[Any, Context], Awaitable[Any]]:
    """A method whose ClusterError becomes the status, message and trailing metadata of the call.

    Any other error is a fault of ours: a ClusterError, too, so that no client takes it for an unreachable cluster.
    """

    async def aborting_method(data: Any, context: Context) -> Any:
        try:
            return await method(data, context)
        except ClusterError as error:
            failure = error
        except Exception as error:
            _log.exception("a call failed")
            failure = ClusterError(f"internal error: {_root(error)!r}; report a bug")
        # Its traceback holds the request, and this call holds it: together they would wait for the garbage collector.
        failure = failure.with_traceback(None)
        del data
        return await context.abort(status_of(failure), detail_of(failure), metadata_of(failure))

    return aborting_method


def _root(error: BaseException) -> BaseException:
    """The error itself, of one that a group of tasks has wrapped."""
    return _root(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
