"""That a worker died: told apart from a script that failed, which would fail again."""

from __future__ import annotations

from cluster.api.errors import ClusterError


class WorkerDiedError(ClusterError):
    """The process of a rank is gone: killed, or out of memory. Another attempt may go better."""
