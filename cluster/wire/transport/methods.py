"""Method tables: the gRPC paths of our services, and their registration with a server.

Requests reach the methods as bytes and are parsed there (`limits.parse`), so that bytes which are no message
become one of our errors with its own status, instead of gRPC's INTERNAL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from protos import inference_pb2, membership_pb2, ring_pb2, stage_pb2, weights_pb2

_SERVICES = {
    descriptor.name: descriptor
    for file in (inference_pb2, membership_pb2, ring_pb2, stage_pb2, weights_pb2)
    for descriptor in file.DESCRIPTOR.services_by_name.values()
}


def method_path(service: str, method: str) -> str:
    """For example "/ggml_cluster.v1.Stage/Steps"."""
    return f"/{_SERVICES[service].full_name}/{_SERVICES[service].methods_by_name[method].name}"


def serialize(message: Message) -> bytes:
    return message.SerializeToString()


Methods = dict[str, Callable[..., Any]]


def register(server: grpc.Server | grpc.aio.Server, service: str, methods: Methods) -> None:
    """Adds all methods of a service; how each streams is read from the .proto file."""
    handlers = {}
    for name, method in _SERVICES[service].methods_by_name.items():
        kind = (
            f"{'stream' if method.client_streaming else 'unary'}_"
            f"{'stream' if method.server_streaming else 'unary'}_rpc_method_handler"
        )
        handlers[name] = getattr(grpc, kind)(methods[name], response_serializer=serialize)
    generic = grpc.method_handlers_generic_handler(_SERVICES[service].full_name, handlers)
    server.add_generic_rpc_handlers((generic,))
