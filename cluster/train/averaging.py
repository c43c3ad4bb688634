"""Averaging: the gradients of one step on their way over all ranks, while others are still computed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

import ggml
from cluster.train.gradient_bucket import GradientBucket
from cluster.train.process_group import ProcessGroup


class Averaging:
    """Buckets leave in their order, each when it is full: the same on all ranks, so that sums are, too.

    `put` and `offer` are called by the thread that trains; where there are several buckets a thread of its own sends
    them, which waits in the streams without the GIL. End it with `finish` or `abandon`.
    """

    def __init__(self, group: ProcessGroup, buckets: Sequence[GradientBucket]) -> None:
        self._group, self._buckets = group, buckets
        self._places = {
            id(parameter): (bucket, number)
            for bucket in buckets
            for number, parameter in enumerate(bucket.parameters)
        }  # fmt: skip
        self._changed = threading.Condition()
        self._is_abandoned = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        for bucket in buckets:
            bucket.begin()

    @property
    def is_early(self) -> bool:
        """Whether gradients are to be put while others are computed: where they have a way to go. In memory that ranks
        share the way is shorter than the copy that shows a gradient early."""
        return not self._group.shares_memory

    def has(self, parameter: ggml.Tensor) -> bool:
        """Whether its gradient is averaged."""
        return id(parameter) in self._places

    def put(self, parameter: ggml.Tensor, raw: Any) -> None:
        """The gradient of a parameter as f32, in memory that may be looked at during this call."""
        bucket, number = self._places[id(parameter)]
        bucket.put(number, np.frombuffer(raw, np.float32))
        if bucket.is_full:
            self._send()

    def offer(self, parameter: ggml.Tensor, gradient: ggml.Tensor | None) -> None:
        """The same, as a tensor; None where this rank has none. Nothing happens if it was put."""
        bucket, number = self._places[id(parameter)]
        if not bucket.misses(number):
            return
        bucket.put(number, None if gradient is None else gradient.detach().float().numpy())
        if bucket.is_full:
            self._send()

    def finish(self) -> list[tuple[ggml.Tensor, ggml.Tensor | None]]:
        """Each parameter with the average, None where no rank had a gradient; of those not offered there is none here.

        UnreachableError, UsageError.
        """
        for bucket in self._buckets:
            for parameter in bucket.parameters:
                self.offer(parameter, None)
        if self._thread is None:
            self._send_all()
        else:
            self._thread.join()
        if self._error is not None:
            raise self._error
        return [
            (parameter, average)
            for bucket in self._buckets
            for parameter, average in zip(bucket.parameters, bucket.averages(), strict=True)
        ]

    def abandon(self) -> None:
        """Send nothing more: the step has failed."""
        with self._changed:
            self._is_abandoned = True
            self._changed.notify_all()

    def _send(self) -> None:
        """A bucket is full. The last one needs no thread: whoever trains has nothing else to do then."""
        with self._changed:
            if self._thread is None and not all(bucket.is_full for bucket in self._buckets):
                self._thread = threading.Thread(target=self._send_all, name="averaging", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _send_all(self) -> None:
        try:
            for bucket in self._buckets:
                with self._changed:
                    while not bucket.is_full and not self._is_abandoned:
                        self._changed.wait()
                    if self._is_abandoned:
                        return
                bucket.average(self._group)
        except BaseException as error:  # whoever trains raises it
            self._error = error
