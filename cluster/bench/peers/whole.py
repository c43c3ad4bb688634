"""A peer process: the whole model under llama.cpp, all sequences in one batch.

    python -m cluster.bench.peers.whole ORDERS     # ORDERS is JSON, see orders.py

Says {"ready": true}; then answers each line {"run", "kind", "num_tokens", "num_streams"} with {"seconds"}. Ends with
stdin.
"""

from __future__ import annotations

import json
import sys
import time

from cluster.api.errors import ClusterError
from cluster.bench.peers.commands import WholeOrders
from cluster.bench.workload import Workload, workload_prompts
from cluster.node.child import answer, die_with_parent


def main() -> int:
    die_with_parent()
    from cluster.bench.peers.native import Model

    try:
        model = Model(WholeOrders.from_json(sys.argv[1]))
        answer({"ready": True})
        for line in sys.stdin:
            asked = json.loads(line)
            number = asked.pop("run")
            answer({"seconds": run(model, Workload(**asked), number)})
    except ClusterError as error:
        answer({"error": str(error)})
        return 1
    return 0


def run(model: Model, workload: Workload, number: int) -> float:  # type: ignore[name-defined]  # noqa: F821
    """Seconds that a workload takes from empty sequences to the last token of each; the prompts of run `number`."""
    prompts = workload_prompts(workload, model.vocab_size, number)
    model.clear()
    start_s = time.perf_counter()
    if workload.kind == "pp":
        for slot, prompt in enumerate(prompts):
            model.prefill(slot, prompt)
    else:
        model.begin_streams(len(prompts))
        tokens = [prompt[0] for prompt in prompts]
        for position in range(workload.num_tokens):
            tokens = model.step(tokens, position)
    return time.perf_counter() - start_s


if __name__ == "__main__":
    sys.exit(main())
