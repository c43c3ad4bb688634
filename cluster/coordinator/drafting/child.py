"""The process of the model that drafts.

python -m cluster.coordinator.drafting.child

It reads a line of JSON, {"path", options of `worker_native.Slice`}, and answers what it loaded; and then a line for
each question, {"told": [[slot, num_kept, tokens]], "length"}, with {"guesses": [[token]]}. It ends when its stdin does.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from cluster.coordinator.drafting.follower import Follower, Told
from cluster.node.child import answer, die_with_parent
from cluster.node.core_dumps import forbid_core_dumps

# Turns that threads wait for each other before they sleep: the stages compute between drafts, on the same cores.
SPIN_COUNT = 1000


def main() -> int:
    die_with_parent()
    forbid_core_dumps()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started us
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))  # before the library is loaded
    from worker_native import Slice, set_log

    set_log(None)
    try:
        model = Slice(**json.loads(sys.stdin.readline()))
        token_ms = min(model.measure_rows(1) for _ in range(3))  # the first one builds the graph
        follower = Follower(model)
        answer({"vocab_size": model.vocab_size, "token_ms": token_ms})
        for line in sys.stdin:
            question = json.loads(line)
            told = [Told(slot, num_kept, tuple(tokens)) for slot, num_kept, tokens in question["told"]]
            answer({"guesses": follower.guess(told, question["length"])})
    except (ValueError, RuntimeError, MemoryError) as error:
        answer({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
