"""The native library of this machine, as a child process found it."""

from __future__ import annotations

from cluster.api.errors import ClusterError
from worker_native.probe import Probe, probe


def checked_probe() -> Probe:
    """What the native library is. ClusterError if it cannot be used."""
    try:
        return probe()
    except RuntimeError as error:
        raise ClusterError(f"ggml: {error}; see that the machine is not overloaded, or install again") from error
