"""A whole model under libllama, with an eye on the tensors that are the hidden rows between its layers.

Through llama_cpp's C API and not our native slice, so that what a split is compared with is libllama alone. The
parameters are those of worker_native/src/slice/load.cpp.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gguf
import llama_cpp
import numpy as np

from cluster.api.errors import ClusterError
from cluster.cutting.boundary import Boundary
from cluster.messages.step import Float32Array
from cluster.node.libllama import FLASH_ATTN, device, function, silent
from cluster.stage.spec import StageSpec
from cluster.verify.steps import Step

BASE = "libggml-base."
ENCODED = b"result_norm"  # what an encoder leaves


class WholeModel:
    """The model in the file at `path` with all its layers, in the context of `spec`. Its process ends with it."""

    def __init__(self, path: str, spec: StageSpec, use_extra_bufts: bool) -> None:
        llama_cpp.llama_log_set(silent, None)
        self._spec = spec
        self._model = _load(path, spec.device, use_extra_bufts)

    def compute(
        self, steps: Sequence[Step], boundaries: Sequence[Boundary]
    ) -> tuple[dict[int, Float32Array], Float32Array]:
        """From an empty cache: the rows [T, E] at each of `boundaries`, by layer, and the logits [T, V] of all rows.

        Without boundaries the graph is computed as it always is; looking at its tensors may keep a device from fusing
        operations.
        """
        watch = _Watch(boundaries, sum(len(step.tokens) - step.num_encoded for step in steps))
        context = _open(self._model, self._spec, watch)
        vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))
        batch = llama_cpp.llama_batch_init(self._spec.ubatch_size, 0, 1)
        logits, num_encoded = [], 0
        for step in steps:
            if step.num_encoded:
                num_encoded = step.num_encoded
                with watch.encoding():
                    _encode(context, batch, step)
            logits.append(_decode(context, batch, step, num_encoded, vocab_size))
        llama_cpp.llama_batch_free(batch)
        llama_cpp.llama_free(context)
        return watch.rows(), np.concatenate(logits)


class _Watch:
    """Copies tensors, of `num_rows` rows each, out of a graph while it is computed."""

    def __init__(self, boundaries: Sequence[Boundary], num_rows: int) -> None:
        self._boundaries = boundaries
        self._num_rows = num_rows
        self._width = {_tensor(name): found.part_width for found in boundaries for name in found.tensors}
        self._in_decoder: dict[bytes, list[Float32Array]] = {name: [] for name in self._width}
        self._in_encoder: dict[bytes, list[Float32Array]] = {}
        self._found = self._in_decoder
        self._name_of = function(BASE, "ggml_get_name", [ctypes.c_void_p], ctypes.c_char_p)
        self._size_of = function(BASE, "ggml_nelements", [ctypes.c_void_p], ctypes.c_int64)
        self._bytes_of = function(BASE, "ggml_nbytes", [ctypes.c_void_p], ctypes.c_size_t)
        self._get = function(BASE, "ggml_backend_tensor_get", [ctypes.c_void_p] * 2 + [ctypes.c_size_t] * 2, None)
        self.callback = llama_cpp.ggml_backend_sched_eval_callback(self._on_tensor)

    @contextmanager
    def encoding(self) -> Iterator[None]:
        """The graph is an encoder's: what it leaves goes along in front of the rows, whatever layer these go to."""
        width = max(self._width.values(), default=0)
        self._width |= {ENCODED: width}
        self._found = self._in_encoder = {ENCODED: []}
        yield
        self._found = self._in_decoder

    @property
    def is_needed(self) -> bool:
        return bool(self._boundaries)

    def rows(self) -> dict[int, Float32Array]:
        """For each layer, what was found in front of it. ClusterError if the graph did not compute just that."""
        rows = {}
        for found in self._boundaries:
            zeros = np.zeros((self._num_rows, found.num_zero_parts * found.part_width), np.float32)
            made = np.concatenate([*(self._rows_of(name) for name in found.tensors), zeros], axis=1)
            rows[found.layer] = np.concatenate([*self._in_encoder.get(ENCODED, ()), made])
        return rows

    def _rows_of(self, name: str) -> Float32Array:
        tensor, plane = _tensor(name), name.removesuffix("]").partition("[")[2]
        found = self._in_decoder[tensor]
        if plane:
            planes = max(sum(_tensor(other) == tensor for other in found.tensors) for found in self._boundaries)
            found = [np.split(rows, planes)[int(plane)] for rows in found]
        num_rows = sum(len(rows) for rows in found)
        if num_rows != self._num_rows:
            raise ClusterError(f"llama.cpp: its graph computed {num_rows} of {self._num_rows} rows of a tensor {name}")
        return np.concatenate(found)

    def _on_tensor(self, tensor: Any, is_question: bool, data: Any) -> bool:
        """Asked for each tensor whether it is wanted, and told when one that is was computed."""
        name = self._name_of(tensor)
        if is_question:
            return name in self._found
        if name in self._found:
            rows = np.empty((self._size_of(tensor) // self._width[name], self._width[name]), np.float32)
            if self._bytes_of(tensor) == rows.nbytes:
                self._get(tensor, rows.ctypes.data, 0, rows.nbytes)
                self._found[name].append(rows)
        return True


def _tensor(name: str) -> bytes:
    """Without "[n]", which says which of its matrices."""
    return name.partition("[")[0].encode()


def _encode(context: Any, batch: Any, step: Step) -> None:
    """Have the encoder read the first rows of the step."""
    _fill(batch, step, 0, step.num_encoded, 0)
    if code := llama_cpp.llama_encode(context, batch):
        raise ClusterError(f"llama.cpp: llama_encode says {code}")


def _fill(batch: Any, step: Step, first: int, end: int, num_encoded: int) -> None:
    """Rows [first, end) of the step; the decoder counts positions behind `num_encoded`."""
    for row, source in enumerate(range(first, end)):
        batch.token[row] = step.tokens[source]
        batch.pos[row] = step.positions[source] - num_encoded
        batch.n_seq_id[row] = 1
        batch.seq_id[row][0] = step.slots[source]
        batch.logits[row] = 1
    batch.n_tokens = end - first


def _decode(context: Any, batch: Any, step: Step, num_encoded: int, vocab_size: int) -> Float32Array:
    """Compute the other rows of one step, which libllama takes as one ubatch; their logits."""
    num_rows = len(step.tokens) - step.num_encoded
    _fill(batch, step, step.num_encoded, len(step.tokens), num_encoded)
    if code := llama_cpp.llama_decode(context, batch):
        raise ClusterError(f"llama.cpp: llama_decode says {code}")
    flat = np.ctypeslib.as_array(llama_cpp.llama_get_logits(context), (num_rows * vocab_size,))
    return flat.reshape(num_rows, vocab_size).copy()


def _open(model: Any, spec: StageSpec, watch: _Watch) -> Any:
    params = llama_cpp.llama_context_default_params()
    encodes = llama_cpp.llama_model_has_encoder(model) and llama_cpp.llama_model_has_decoder(model)
    num_slots = 1 if encodes else spec.num_slots  # what an encoder made is of one text
    params.n_ctx = spec.context_length * num_slots
    params.n_batch = max(spec.ubatch_size, num_slots)
    params.n_ubatch = spec.ubatch_size
    params.n_seq_max = num_slots
    params.n_threads = params.n_threads_batch = spec.num_threads
    params.flash_attn_type = FLASH_ATTN[spec.gguf.flash_attn]
    params.type_k = int(gguf.GGMLQuantizationType[spec.gguf.type_k.upper()])
    params.type_v = int(gguf.GGMLQuantizationType[spec.gguf.type_v.upper()])
    params.kv_unified = False
    params.swa_full = True
    if watch.is_needed:
        params.cb_eval = watch.callback
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        raise ClusterError("llama.cpp: it cannot make the context of the whole model")
    return context


def _load(path: str, device_name: str, use_extra_bufts: bool) -> Any:
    params = llama_cpp.llama_model_default_params()
    is_cpu = device_name == "CPU"
    devices = (ctypes.c_void_p * 2)(None if is_cpu else device(device_name), None)
    params.devices = ctypes.cast(devices, ctypes.c_void_p)
    params.n_gpu_layers = 0 if is_cpu else -1
    params.split_mode = llama_cpp.LLAMA_SPLIT_MODE_NONE
    params.load_mode = llama_cpp.LLAMA_LOAD_MODE_MMAP if is_cpu else llama_cpp.LLAMA_LOAD_MODE_AUTO
    params.use_extra_bufts = use_extra_bufts
    model = llama_cpp.llama_model_load_from_file(path.encode(), params)
    if not model:
        raise ClusterError(f"llama.cpp: it cannot load {path}")
    return model
