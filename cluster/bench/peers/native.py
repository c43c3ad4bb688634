"""llama.cpp in this process, through llama_cpp's C API. For peer processes only: libllama may end its process."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import gguf
import llama_cpp
import numpy as np
from numpy.typing import NDArray

from cluster.api.errors import ClusterError
from cluster.bench.peers.commands import WholeOrders
from cluster.node.libllama import FLASH_ATTN, function, mapped_library, silent

N_BATCH = 2048  # llama.cpp's own default
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
        self._num_rows = max(N_BATCH, orders.ubatch_size)
        self._batch = llama_cpp.llama_batch_init(self._num_rows, 0, 1)
        self._tokens, self._positions, self._wants_logits = (
            np.ctypeslib.as_array(pointer, (self._num_rows,))
            for pointer in (self._batch.token, self._batch.pos, self._batch.logits)
        )
        for row in range(self._num_rows):
            self._batch.n_seq_id[row] = 1

    def clear(self) -> None:
        """Forget all sequences."""
        llama_cpp.llama_memory_clear(self._memory, False)

    def prefill(self, slot: int, tokens: Sequence[int]) -> int:
        """Compute a prompt in batches of n_batch; the most probable next token."""
        for first in range(0, len(tokens), self._num_rows):
            part = tokens[first : first + self._num_rows]
            rows = len(part)
            self._tokens[:rows] = part
            self._positions[:rows] = np.arange(first, first + rows)
            self._wants_logits[:rows] = 0
            for row in range(rows):
                self._batch.seq_id[row][0] = slot
            is_last = first + rows == len(tokens)
            self._wants_logits[rows - 1] = is_last
            self._decode(rows)
        return int(self._greedy(1)[0])

    def begin_streams(self, num_streams: int) -> None:
        """Row i of all steps to come is sequence i's."""
        self._wants_logits[:num_streams] = 1
        for row in range(num_streams):
            self._batch.seq_id[row][0] = row

    def step(self, tokens: Sequence[int] | NDArray[np.int64], position: int) -> NDArray[np.int64]:
        """One token of every sequence, all at `position`, in one batch; the most probable next ones."""
        rows = len(tokens)
        self._tokens[:rows] = tokens
        self._positions[:rows] = position
        self._decode(rows)
        return self._greedy(rows)

    def _decode(self, rows: int) -> None:
        self._batch.n_tokens = rows
        if code := llama_cpp.llama_decode(self._context, self._batch):
            raise ClusterError(f"llama.cpp: llama_decode says {code}; give a larger -c or fewer streams")

    def _greedy(self, rows: int) -> NDArray[np.int64]:
        """The most probable token of each of the batch's `rows` outputs, which lie one after the other."""
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits(self._context), (rows, self.vocab_size))
        found: NDArray[np.int64] = logits.argmax(axis=1)
        return found


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
    params.use_extra_bufts = orders.use_extra_bufts
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
    params.n_batch = max(N_BATCH, orders.ubatch_size)
    params.n_ubatch = orders.ubatch_size
    params.n_threads = params.n_threads_batch = orders.num_threads
    params.kv_unified = False
    params.type_k = int(gguf.GGMLQuantizationType[orders.type_k.upper()])
    params.type_v = int(gguf.GGMLQuantizationType[orders.type_v.upper()])
    params.flash_attn_type = FLASH_ATTN[orders.flash_attn]
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        raise ClusterError("llama.cpp: it cannot make the context; give a smaller -c or fewer streams")
    return context
