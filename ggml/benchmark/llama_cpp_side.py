"""A model in llama.cpp, in a process of its own: a line asks for work, the answer is its seconds.

python -m ggml.benchmark.llama_cpp_side model.gguf 640 2
"""

from __future__ import annotations

import sys
import time
from typing import Any

import llama_cpp

from ggml.benchmark.shapes import PROMPT, STEPS


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _silent(level: int, message: bytes, data: Any) -> None:
    pass


class Model:
    """A GGUF file and a context of ``capacity`` tokens."""

    def __init__(self, path: str, capacity: int, num_threads: int) -> None:
        llama_cpp.llama_log_set(_silent, None)
        params = llama_cpp.llama_model_default_params()
        self._model = llama_cpp.llama_model_load_from_file(path.encode(), params)
        if not self._model:
            raise OSError(f"llama.cpp cannot open {path}")
        context = llama_cpp.llama_context_default_params()
        context.n_ctx, context.n_batch, context.n_ubatch = capacity, capacity, capacity
        context.n_threads = context.n_threads_batch = num_threads
        self.context = llama_cpp.llama_init_from_model(self._model, context)
        self._batch = llama_cpp.llama_batch_init(capacity, 0, 1)

    def decode(self, tokens: list[int], begin: int) -> None:
        """Compute the logits behind the last of these tokens, which stand at ``begin`` and after."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for place, token in enumerate(tokens):
            batch.token[place], batch.pos[place] = token, begin + place
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
            batch.logits[place] = place == len(tokens) - 1
        if llama_cpp.llama_decode(self.context, batch):
            raise RuntimeError("llama.cpp cannot decode")
        llama_cpp.llama_get_logits_ith(self.context, -1)

    def forget(self, begin: int) -> None:
        """Forget the tokens from there on."""
        llama_cpp.llama_memory_seq_rm(llama_cpp.llama_get_memory(self.context), 0, begin, -1)


def prefill_s(model: Model) -> float:
    """A prompt in an empty context."""
    model.forget(0)
    begin_s = time.perf_counter()
    model.decode(list(range(PROMPT)), 0)
    return time.perf_counter() - begin_s


def decode_s(model: Model) -> float:
    """A step behind the prompt, the mean of several."""
    begin_s = time.perf_counter()
    for step in range(STEPS):
        model.decode([step], PROMPT + step)
    spent_s = (time.perf_counter() - begin_s) / STEPS
    model.forget(PROMPT)
    return spent_s


def main() -> None:
    """Answer the lines ``prefill`` and ``decode`` with seconds. The first is a ``prefill``."""
    model = Model(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print("ready", flush=True)
    for line in sys.stdin:
        print({"prefill": prefill_s, "decode": decode_s}[line.strip()](model), flush=True)


if __name__ == "__main__":
    main()
