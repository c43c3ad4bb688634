"""The whole model in this process, through llama_cpp's C API: what every cluster must reproduce."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import llama_cpp
import numpy as np
from numpy.typing import NDArray


class WholeModel:
    """A GGUF on one CPU thread. Close it."""

    def __init__(
        self,
        path: Path | str,
        n_ctx: int,
        n_batch: int = 512,
        num_slots: int = 1,
        adapters: Sequence[tuple[Path, float]] = (),
    ) -> None:
        llama_cpp.llama_log_set(_silent, None)
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = 0
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        assert self._model, f"libllama refuses {path}"
        loaded = [llama_cpp.llama_adapter_lora_init(self._model, str(file).encode()) for file, _ in adapters]
        assert all(loaded), "libllama refuses an adapter"
        context = llama_cpp.llama_context_default_params()
        context.n_ctx = n_ctx * num_slots
        context.n_batch = context.n_ubatch = n_batch
        context.n_seq_max = num_slots
        context.n_threads = context.n_threads_batch = 1
        self._context = llama_cpp.llama_init_from_model(self._model, context)
        handles = (llama_cpp.llama_adapter_lora_p_ctypes * len(loaded))(*loaded)
        scales = (ctypes.c_float * len(loaded))(*(scale for _, scale in adapters))
        llama_cpp.llama_set_adapters_lora(self._context, handles, len(loaded), scales)
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._batch = llama_cpp.llama_batch_init(n_batch, 0, 1)
        self._length = 0
        self.vocab_size: int = llama_cpp.llama_vocab_n_tokens(self._vocab)

    def forward(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Append one batch of tokens; logits [T, V] of all its rows."""
        for row, token in enumerate(tokens):
            self._batch.token[row] = token
            self._batch.pos[row] = self._length + row
            self._batch.n_seq_id[row] = 1
            self._batch.seq_id[row][0] = 0
            self._batch.logits[row] = 1
        self._batch.n_tokens = len(tokens)
        assert llama_cpp.llama_decode(self._context, self._batch) == 0
        self._length += len(tokens)
        pointer = llama_cpp.llama_get_logits(self._context)
        flat = np.ctypeslib.as_array(pointer, shape=(len(tokens) * self.vocab_size,))
        return flat.reshape(len(tokens), self.vocab_size).copy()

    def reset(self) -> None:
        """Forget the sequence."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        self._length = 0

    def greedy(self, prompt: Sequence[int], num_tokens: int) -> list[int]:
        """The most probable continuation, up to an end token (included)."""
        self.reset()
        generated: list[int] = []
        logits = self.forward(prompt)[-1]
        while True:
            token = int(np.argmax(logits))
            generated.append(token)
            if len(generated) == num_tokens or llama_cpp.llama_vocab_is_eog(self._vocab, token):
                return generated
            logits = self.forward([token])[-1]

    def close(self) -> None:
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)


@llama_cpp.llama_log_callback
def _silent(level: int, text: bytes, data: object) -> None:
    """libllama reports to stderr otherwise."""
