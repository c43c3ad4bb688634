"""The public API is what is listed here, and importing it is cheap."""

from __future__ import annotations

import subprocess
import sys

import cluster
from cluster.api import errors

PUBLIC = {
    "Answer",
    "AsyncClient",
    "CancelledError",
    "CapacityError",
    "Client",
    "ClusterError",
    "Completion",
    "ContextOverflowError",
    "HandshakeError",
    "Message",
    "ModelFileError",
    "ResponseFormat",
    "SamplingParams",
    "Segment",
    "StageLostError",
    "TokenEvent",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "UnauthenticatedError",
    "UnreachableError",
    "UnsupportedModelError",
    "UsageError",
    "connect",
}


def modules_after(code: str) -> set[str]:
    """What a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_public_api() -> None:
    assert set(cluster.__all__) == PUBLIC
    assert set(dir(cluster)) == PUBLIC
    assert all(getattr(cluster, name).__name__ == name for name in PUBLIC)


def test_all_errors_are_public() -> None:
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert {name for name in kinds if issubclass(vars(errors)[name], errors.ClusterError)} <= PUBLIC


def test_unknown_name() -> None:
    assert not hasattr(cluster, "nonsense")


def test_import_alone_loads_nothing_heavy() -> None:
    assert not modules_after("import cluster") & {"grpc", "numpy", "ray", "google.protobuf", "asyncio"}


def test_the_client_loads_no_server_code() -> None:
    loaded = modules_after("import cluster; cluster.connect, cluster.AsyncClient")
    assert "grpc" in loaded
    ours = {name for name in loaded if name.split(".")[0] in {"cluster", "worker_native", "ggml", "protos"}}
    servers = {"cluster.wire.inference.server", "cluster.wire.weights", "cluster.wire.access.gate"}
    assert not {name for name in ours if name in servers or name.startswith("cluster.wire.stage")}
    rooms = {name.split(".")[1] for name in ours if name.startswith("cluster.")}
    assert not loaded & {"jinja2", "llguidance"}  # of which only those who chat have need
    assert rooms <= {"api", "chat", "client", "messages", "node", "trust", "wire"}
    assert "cryptography" not in loaded
    assert not {name.split(".")[0] for name in loaded} & {
        "ray",
        "worker_native",
        "llama_cpp",
        "torch",
        "gguf",
    }
