"""llama.cpp in this process, through llama_cpp's C API. For peer processes only: libllama may end its process."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import gguf
import llama_cpp
import numpy as np

from cluster.bench.peers.orders import WholeOrders
from cluster.errors import ClusterError
from cluster.libllama import FLASH_ATTN, function, mapped_library, silent

N_BATCH = 2048  # llama.cpp's own default; n_ubatch stays its default as well
ALL_LAYERS = 999
RPC_MISSING = "llama.cpp RPC is not built into the installed llama_cpp; build it with CMAKE_ARGS=-DGGML_RPC=ON"


class Model:
    """A GGUF and a context for `num_slots` sequences, each with a KV cache of its own (kv_unified off)."""

    def __init__(self, orders: WholeOrders) -> None:
        llama_cpp.llama_log_set(silent, None)
        self._context = _open_context(_load_model(orders), orders)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self.vocab_size: int = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(llama_cpp.llama_get_model(self._context))
        )
        self._batch = llama_cpp.llama_batch_init(N_BATCH, 0, 1)
        self._tokens, self._positions, self._wants_logits = (
            np.ctypeslib.as_array(pointer, (N_BATCH,))
            for pointer in (self._batch.token, self._batch.pos, self._batch.logits)
        )
        for row in range(N_BATCH):
            self._batch.n_seq_id[row] = 1

    def clear(self) -> None:
        """Forget all sequences."""
        llama_cpp.llama_memory_clear(self._memory, False)

    def prefill(self, slot: int, tokens: Sequence[int]) -> int:
        """Compute a prompt in batches of N_BATCH; the most probable next token."""
        for first in range(0, len(tokens), N_BATCH):
            part = tokens[first : first + N_BATCH]
            rows = len(part)
            self._tokens[:rows] = part
            self._positions[:rows] = np.arange(first, first + rows)
            self._wants_logits[:rows] = 0
            for row in range(rows):
                self._batch.seq_id[row][0] = slot
            self._wants_logits[rows - 1] = first + rows == len(tokens)
            self._decode(rows)
        return self._greedy(rows - 1)

    def step(self, tokens: Sequence[int], position: int) -> list[int]:
        """One token of every sequence, all at `position`, in one batch; the most probable next ones."""
        rows = len(tokens)
        self._tokens[:rows] = tokens
        self._positions[:rows] = position
        self._wants_logits[:rows] = 1
        for row in range(rows):
            self._batch.seq_id[row][0] = row
        self._decode(rows)
        return [self._greedy(row) for row in range(rows)]

    def _decode(self, rows: int) -> None:
        self._batch.n_tokens = rows
        if code := llama_cpp.llama_decode(self._context, self._batch):
            raise ClusterError(f"llama.cpp: llama_decode says {code}; give a larger -c or fewer streams")

    def _greedy(self, row: int) -> int:
        logits = llama_cpp.llama_get_logits_ith(self._context, row)
        return int(np.ctypeslib.as_array(logits, (self.vocab_size,)).argmax())


def rpc_library() -> ctypes.CDLL:
    """libggml-rpc of the installed llama_cpp; ClusterError if it was built without."""
    try:
        library = mapped_library("libggml-rpc.")
    except ClusterError as error:
        raise ClusterError(RPC_MISSING) from error
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.ggml_backend_rpc_add_server.argtypes = [ctypes.c_char_p]
    library.ggml_backend_rpc_add_server.restype = pointer
    library.ggml_backend_rpc_start_server.argtypes = [ctypes.c_char_p, ctypes.c_char_p, size, size, pointer]
    library.ggml_backend_rpc_start_server.restype = None
    return library


def _load_model(orders: WholeOrders) -> Any:
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = ALL_LAYERS if orders.endpoints or orders.uses_gpu else 0
    if orders.endpoints:
        servers = _rpc_devices(orders.endpoints)
        params.devices = ctypes.cast((ctypes.c_void_p * (len(servers) + 1))(*servers, None), ctypes.c_void_p)
        split = (ctypes.c_float * llama_cpp.llama_max_devices())(*orders.tensor_split)
        params.tensor_split = ctypes.cast(split, ctypes.POINTER(ctypes.c_float))
    model = llama_cpp.llama_model_load_from_file(orders.model.encode(), params)
    if not model:
        raise ClusterError(f"llama.cpp: it cannot load {orders.model}")
    return model


def _rpc_devices(endpoints: Sequence[str]) -> list[int]:
    library = rpc_library()
    first_device = function("libggml-base.", "ggml_backend_reg_dev_get", [ctypes.c_void_p, ctypes.c_size_t])
    devices = []
    for endpoint in endpoints:
        server = library.ggml_backend_rpc_add_server(endpoint.encode())
        if not server:
            raise ClusterError(f"llama.cpp: its RPC server at {endpoint} offers no device")
        devices.append(int(first_device(server, 0)))
    return devices


def _open_context(model: Any, orders: WholeOrders) -> Any:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = orders.context_length * orders.num_slots
    params.n_seq_max = orders.num_slots
    params.n_batch = N_BATCH
    params.n_threads = params.n_threads_batch = orders.num_threads
    params.kv_unified = False
    params.type_k = int(gguf.GGMLQuantizationType[orders.type_k.upper()])
    params.type_v = int(gguf.GGMLQuantizationType[orders.type_v.upper()])
    params.flash_attn_type = FLASH_ATTN[orders.flash_attn]
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        raise ClusterError("llama.cpp: it cannot make the context; give a smaller -c or fewer streams")
    return context
