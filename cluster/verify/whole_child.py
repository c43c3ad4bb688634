"""Computes all steps on the whole model, and takes the rows in front of layers out of its graph.

python -m cluster.verify.whole_child     # a line of JSON: what `cluster.verify.run` writes
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cluster.api.errors import ClusterError
from cluster.cutting.boundary import Boundary
from cluster.node.child import answer, die_with_parent
from cluster.verify.orders import ordered_spec, ordered_steps
from cluster.verify.rows import write_rows


def main() -> int:
    die_with_parent()
    orders = json.loads(sys.stdin.readline())
    try:
        from cluster.verify.whole_model import WholeModel

        steps = ordered_steps(orders)
        model = WholeModel(orders["path"], ordered_spec(orders), orders["use_extra_bufts"])
        _, logits = model.compute(steps, ())
        boundaries = [Boundary(**boundary) for boundary in orders["boundaries"]]
        hidden, _ = model.compute(steps, boundaries) if boundaries else ({}, logits)
        write_rows(Path(orders["rows_out"]), hidden, logits)
        answer({"done": True})
    except (ClusterError, ValueError, RuntimeError) as error:
        answer({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
