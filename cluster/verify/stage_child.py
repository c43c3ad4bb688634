"""Computes all steps on one stage, in a process of its own: only one stage is in memory at a time.

python -m cluster.verify.stage_child     # a line of JSON: {"model", "spec", "steps", "rows_in", "rows_out"}
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from cluster.api.errors import ClusterError, error_named
from cluster.messages.step import Microbatch, StepResult
from cluster.node.child import answer, die_with_parent
from cluster.stage.loading import load_stage
from cluster.verify.orders import ordered_spec, ordered_steps
from cluster.verify.rows import read_rows, write_rows


def main() -> int:
    die_with_parent()
    orders = json.loads(sys.stdin.readline())
    try:
        answer({"build": run(orders)})
    except (ClusterError, ValueError, RuntimeError) as error:
        answer({"error": str(error)})
        return 1
    return 0


def run(orders: dict[str, Any]) -> str:
    """Write the rows that the stage makes of those that it is given. Returns libllama's build."""
    spec, steps = ordered_spec(orders), ordered_steps(orders)
    given = read_rows(Path(orders["rows_in"])).hidden[spec.first] if spec.first else None
    made, at = [], 0
    with closing(load_stage(spec, lambda phase, fraction: None)) as runner:
        for number, step in enumerate(steps):
            end = at + len(step.tokens)
            hidden = None if given is None else np.ascontiguousarray(given[at:end])
            output = runner.run(step.microbatch(number), hidden)
            left = output.passed if output.result is None else output.result
            assert isinstance(left, Microbatch | StepResult), "it makes text"
            for failure in left.failures:
                raise error_named(failure.kind, failure.reason)
            rows = left.logits if isinstance(left, StepResult) else output.hidden
            assert rows is not None, "all logits were asked for"
            made.append(rows)
            at = end
    is_last = spec.stage == spec.num_stages - 1
    rows_out = np.concatenate(made)
    write_rows(Path(orders["rows_out"]), {} if is_last else {spec.end: rows_out}, rows_out if is_last else None)
    return runner.model.build


if __name__ == "__main__":
    sys.exit(main())
