"""The cluster that is up, asked for the logits of the first step: what its wire and scheduler make of the rows."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.client.sync import connect
from cluster.node.kept_secrets import client_secret_path
from cluster.verify.compare import Comparison, compare_logits
from cluster.verify.rows import Rows
from cluster.verify.steps import Step


def compare_live(split: Rows, steps: Sequence[Step], address: str) -> Comparison:
    """The logits that the cluster at `address` gives, against those of the split. UnreachableError, CapacityError."""
    assert split.logits is not None
    tokens = steps[0].tokens
    with connect(address, client_secret_path()) as client:
        logits = client.logits(tokens)
    return compare_logits(f"the cluster at {address}", split.logits[: len(tokens)], logits)
