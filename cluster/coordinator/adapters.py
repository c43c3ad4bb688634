"""The adapters of a cluster: which scales a request has, and those of requests that name none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cluster.api.errors import UsageError
from cluster.api.lists import Scales
from cluster.api.model import AdapterInfo


class Adapters:
    """For any thread: what changes is replaced as a whole."""

    def __init__(self, loaded: Sequence[AdapterInfo]) -> None:
        """`loaded`: with the scales that the stages were loaded with."""
        self._loaded = tuple(adapter.scale for adapter in loaded)
        self._now = tuple(loaded)

    @property
    def all(self) -> tuple[AdapterInfo, ...]:
        """In order, each with the scale that a request has which names none."""
        return self._now

    def rescale(self, scales: Scales) -> None:
        """Requests that come from now on and name none have these; an adapter that is left out has 0. UsageError."""
        by_id = self._checked(scales)
        self._now = tuple(replace(one, scale=by_id.get(number, 0.0)) for number, one in enumerate(self._now))

    def scales_of(self, asked: Scales) -> tuple[float, ...]:
        """Those of a request that asks for `asked`, as in Microbatch. UsageError for an adapter that is not there."""
        if not asked:
            scales = tuple(adapter.scale for adapter in self._now)
        else:
            by_id = self._checked(asked)
            scales = tuple(by_id.get(number, 0.0) for number in range(len(self._loaded)))
        return () if scales == self._loaded else scales

    def _checked(self, scales: Scales) -> dict[int, float]:
        num_adapters = len(self._loaded)
        for number, _ in scales:
            if number >= num_adapters:
                raise UsageError(
                    f"lora: there is no adapter {number}; give ids from 0 to {num_adapters - 1}"
                    if num_adapters
                    else "lora: the cluster has no adapters; leave it out, or start it with --lora FILE"
                )
        return dict(scales)
