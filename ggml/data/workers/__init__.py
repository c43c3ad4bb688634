"""Processes that fetch batches: what runs in them, and who starts and ends them."""

from __future__ import annotations

from ggml.data.workers.info import WorkerInfo, get_worker_info

__all__ = ["WorkerInfo", "get_worker_info"]
