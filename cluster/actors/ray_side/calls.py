"""Asking Ray and its actors, with errors of ours."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import ray
import ray._private.worker as ray_worker
from ray._private.grpc_utils import init_grpc_channel
from ray._raylet import AuthenticationTokenLoader, InnerGcsClient  # type: ignore[attr-defined]  # compiled, without stubs
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from cluster.api.errors import ClusterError, UnreachableError
from cluster.node.home import Home

CALL_TIMEOUT_S = 60.0
GCS_TIMEOUT_MS = 5000


def _unknown_death() -> str:
    return "an actor died; run cluster up again, and look for a lack of memory"


def get(reference: Any, timeout_s: float = CALL_TIMEOUT_S, why: Callable[[], str] = _unknown_death) -> Any:
    """ray.get with our errors: an actor's exception comes back as itself, its death as UnreachableError with `why`."""
    try:
        return ray.get(reference, timeout=timeout_s)
    except RayTaskError as error:
        cause = error.cause
        raise (cause if isinstance(cause, ClusterError) else ClusterError(f"an actor failed: {cause!r}")) from error
    except RayActorError as error:
        raise UnreachableError(why()) from error
    except GetTimeoutError as error:
        raise UnreachableError(f"an actor did not answer within {timeout_s:.0f} s; run cluster down") from error


def has_answered(reference: Any) -> bool:
    try:
        ray.get(reference, timeout=0)
    except (RayActorError, GetTimeoutError):
        return False
    return True


@contextlib.contextmanager
def errors_of_ray() -> Iterator[None]:
    """The errors of Ray itself; what an actor raises is told apart by `get`."""
    try:
        yield
    except (RayError, ConnectionError) as error:
        raise UnreachableError(f"Ray: {one_line(error)}; run cluster down, then up again") from error


def one_line(error: Exception) -> str:
    """What Ray says, without the traceback and the colours that it adds."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def connect(ray_address: str, namespace: str, home: Home) -> None:
    """Make this process a driver of the Ray whose GCS is at `ray_address`. `home`: that of this machine.

    UnreachableError if it does not answer or refuses this version.
    """
    # Ray keeps the first token that it reads: this process may have been connected to a head that is gone.
    AuthenticationTokenLoader.instance().reset_cache()
    silence_ray()
    try:
        check_gcs(ray_address)
        ray.init(
            ray_address,
            namespace=namespace,
            log_to_driver=False,
            logging_level="ERROR",
            # Ray would take that of the default route, which another address of this machine may have.
            _node_ip_address=home.record.host if home.record else None,
        )
    except KeyboardInterrupt:
        ray.shutdown()  # half connected to a Ray that is ended next, its threads would crash the process
        raise
    except Exception as error:  # Ray raises many kinds here: version, token, connection
        raise UnreachableError(
            f"Ray at {ray_address}: {one_line(error)}; start it with the Ray and Python of this environment"
        ) from error


def check_gcs(address: str) -> None:
    """Raise what Ray raises unless its GCS answers and takes our token.

    A connection of Ray waits much longer for one that does neither, and on the way its C++ writes to stderr.
    """
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        InnerGcsClient.standalone(address, None, GCS_TIMEOUT_MS)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def forget_node(gcs_address: str, node_id: str) -> None:
    """Make Ray take a node for dead now, and give its actors up. UnreachableError if the GCS does not answer.

    Ray would ask whoever listens at the node's address whether it lives; where the machine has come back, that is the
    node which took its place, for ever. (Its own `drain_nodes` even ends that one.)
    """
    request = gcs_service_pb2.UnregisterNodeRequest(node_id=bytes.fromhex(node_id))
    request.node_death_info.reason_message = "its place was taken"
    channel = init_grpc_channel(gcs_address)
    try:
        gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel).UnregisterNode(request, timeout=GCS_TIMEOUT_MS / 1000)
    except Exception as error:  # gRPC's own, which is not for this room to know
        raise UnreachableError(f"Ray at {gcs_address}: {one_line(error)}; run cluster up") from error
    finally:
        channel.close()


def silence_ray() -> None:
    """Whatever it is told of logs, Ray prints on standard output, in colours, that a worker died. What died and why is
    for our own message to say."""
    if hasattr(ray_worker, "print_to_stdstream"):
        ray_worker.print_to_stdstream = lambda *arguments, **options: None
