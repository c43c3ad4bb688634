"""What spans of one name took together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ggml.core.errors import ArgumentError
from ggml.graph.timing import Span

_ORDERS = ("total", "mean", "count")


@dataclass(frozen=True, slots=True)
class Average:
    """Spans of one name and kind. Times are in microseconds."""

    key: str
    kind: str
    count: int
    total_us: float

    @property
    def mean_us(self) -> float:
        return self.total_us / self.count


class Averages(list[Average]):
    """One entry for each name, the one that took longest first."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        sums: dict[tuple[str, str], tuple[int, int]] = {}
        for span in spans:
            count, total = sums.get((span.name, span.kind), (0, 0))
            sums[span.name, span.kind] = count + 1, total + span.duration_ns
        found = [Average(name, kind, count, total / 1e3) for (name, kind), (count, total) in sums.items()]
        super().__init__(sorted(found, key=lambda one: -one.total_us))

    def table(self, sort_by: str = "total", row_limit: int = 100) -> str:
        """As text, by "total", "mean" or "count". A graph contains its nodes, and a "user" span whatever ran in it."""
        if sort_by not in _ORDERS:
            raise ArgumentError("table", "sort_by", f"is one of {', '.join(_ORDERS)}: {sort_by!r}")
        rows = sorted(self, key=lambda one: -{"total": one.total_us, "mean": one.mean_us, "count": one.count}[sort_by])
        lines = [f"{'name':48} {'kind':6} {'count':>7} {'total':>12} {'mean':>12}"]
        for one in rows[:row_limit]:
            total, mean = f"{one.total_us:.1f} us", f"{one.mean_us:.1f} us"
            lines.append(f"{one.key[:48]:48} {one.kind:6} {one.count:7} {total:>12} {mean:>12}")
        return "\n".join(lines)
