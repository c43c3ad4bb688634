"""The child process of `dry_run`: answers {"path", options of worker_native.measure} with the figures."""

from __future__ import annotations

import json
import sys

from cluster.node.child import answer, die_with_parent


def main() -> int:
    die_with_parent()
    from worker_native import measure

    for line in sys.stdin:
        question = json.loads(line)
        try:
            needs = measure(question.pop("path"), **question)
        except MemoryError as error:
            answer({"memory": str(error)})
        except ValueError as error:
            answer({"refused": str(error)})
        except RuntimeError as error:
            answer({"error": str(error)})
        else:
            names = ("weight_bytes", "kv_bytes", "compute_bytes", "vocab_size")
            answer({name: getattr(needs, name) for name in names})
    return 0


if __name__ == "__main__":
    sys.exit(main())
