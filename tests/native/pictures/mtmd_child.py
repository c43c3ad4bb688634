"""What mtmd says of a prompt with a picture on the whole model, in one process, to compare with.

python -m tests.native.pictures.mtmd_child     # a line of JSON: see `main`
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from llama_cpp import mtmd_cpp as mtmd

from cluster.node.libllama import silent


def main() -> None:
    """Reads {model, projector, pictures, text, num_tokens, out}: a text with a mark for each picture's file, which goes
    on with the most likely tokens. Writes to `out` the logits in front of each of these, and the rows of the pictures.
    """
    asked = json.loads(sys.stdin.readline())
    llama_cpp.llama_log_set(silent, None)
    mtmd.mtmd_log_set(silent, None)
    mtmd.mtmd_helper_log_set(silent, None)
    model = llama_cpp.llama_model_load_from_file(asked["model"].encode(), llama_cpp.llama_model_default_params())
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = 256
    params.n_threads = params.n_threads_batch = 1
    params.kv_unified = False
    context = llama_cpp.llama_init_from_model(model, params)
    options = mtmd.mtmd_context_params_default()
    options.use_gpu, options.n_threads, options.warmup = False, 1, False
    encoder = mtmd.mtmd_init_from_file(asked["projector"].encode(), model, options)
    bitmaps = [_bitmap(encoder, Path(path).read_bytes()) for path in asked["pictures"]]
    chunks = mtmd.mtmd_input_chunks_init()
    raw = asked["text"].encode()
    text = mtmd.mtmd_input_text(raw, len(raw), True, True)
    code = mtmd.mtmd_tokenize(
        encoder, chunks, ctypes.byref(text), (ctypes.c_void_p * len(bitmaps))(*bitmaps), len(bitmaps)
    )
    assert code == 0, f"mtmd_tokenize: {code}"
    end = llama_cpp.llama_pos(0)
    code = mtmd.mtmd_helper_eval_chunks(encoder, context, chunks, 0, 0, 256, True, ctypes.byref(end))
    assert code == 0, f"mtmd_helper_eval_chunks: {code}"
    width = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    logits = [_logits(context, width)]
    for place in range(asked["num_tokens"] - 1):
        _decode(context, int(logits[-1].argmax()), end.value + place)
        logits.append(_logits(context, width))
    row_width = llama_cpp.llama_model_n_embd_inp(model)
    np.savez(asked["out"], logits=np.stack(logits), rows=np.concatenate(_rows(encoder, chunks, row_width)))


def _bitmap(encoder: Any, data: bytes) -> Any:
    return mtmd.mtmd_helper_bitmap_init_from_buf(
        encoder, (ctypes.c_uint8 * len(data)).from_buffer_copy(data), len(data), False
    )


def _logits(context: Any, width: int) -> np.ndarray:
    return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), (width,)).copy()


def _decode(context: Any, token: int, position: int) -> None:
    batch = llama_cpp.llama_batch_init(1, 0, 1)
    batch.n_tokens, batch.token[0], batch.pos[0] = 1, token, position
    batch.n_seq_id[0], batch.seq_id[0][0], batch.logits[0] = 1, 0, 1
    assert llama_cpp.llama_decode(context, batch) == 0
    llama_cpp.llama_batch_free(batch)


def _rows(encoder: Any, chunks: Any, row_width: int) -> list[np.ndarray]:
    found = []
    for place in range(mtmd.mtmd_input_chunks_size(chunks)):
        chunk = mtmd.mtmd_input_chunks_get(chunks, place)
        if mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE:
            assert mtmd.mtmd_encode_chunk(encoder, chunk) == 0
            shape = mtmd.mtmd_input_chunk_get_n_tokens(chunk), row_width
            found.append(np.ctypeslib.as_array(mtmd.mtmd_get_output_embd(encoder), shape).copy())
    return found


if __name__ == "__main__":
    main()
