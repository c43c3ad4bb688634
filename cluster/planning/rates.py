"""Tokens per second that answers of a given length are forecast to take, on a pipeline with given cuts."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.config import ClusterConfig
from cluster.engine.cost.decode import decode_plan
from cluster.planning.inventory import take_inventory
from cluster.planning.layout import Layouts
from cluster.planning.rehearsals import rehearsed
from cluster.planning.search.cut_search import Range


def forecast_rates(
    config: ClusterConfig, ranges: Sequence[Range], rows: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], float]:
    """For each (tokens of an answer, streams): all streams begin with one token; `ranges`: the layers of each stage.

    The rounds are those of `cluster plan`; that the requests begin takes time too, which counts in short answers of
    small models. ClusterError if the model cannot be rehearsed here.
    """
    found = take_inventory(config)
    with found.dry_run() as dry_run:
        sizes = Layouts(found, dry_run).layer_sizes(found.context, [device.name for device in found.devices])
    seen = rehearsed(found, ranges, sizes)
    costs, known = seen.costs(ranges), seen.known(ranges)

    def rate(num_tokens: int, num_streams: int) -> float:
        round_ms = costs.round_ms(decode_plan(known, num_streams), num_streams)
        start_ms = max(seen.start_ms(num_streams), round_ms)
        return 1e3 * num_tokens * num_streams / (start_ms + (num_tokens - 1) * round_ms)

    return {row: rate(*row) for row in rows}
