"""One layer slice, its vocabulary and its devices, over unpatched libllama and libggml."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pathlib
import sys

# ggml reads this when it is loaded; without it a failed assertion forks a debugger.
os.environ.setdefault("GGML_NO_BACKTRACE", "1")


def _load_libllama() -> ctypes.CDLL:
    """Load the file that `import llama_cpp` loads, so that both share one copy of every library.

    The extension asks for libllama by its versioned name, which in an installed package is another file.
    """
    package = importlib.util.find_spec("llama_cpp")
    if package is None or package.origin is None:
        raise ImportError("llama_cpp: not installed; install llama-cpp-python")
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    return ctypes.CDLL(str(pathlib.Path(package.origin).parent / "lib" / f"libllama{suffix}"))


_libllama = _load_libllama()

from worker_native._native import (  # noqa: E402
    ATTENTION_STEP,
    LAST_WORDS_BYTES,
    MAX_GAP,
    MAX_LAYERS,
    MAX_SLOTS,
    MAX_SOURCES,
    Buffer,
    Device,
    ForkedError,
    Graph,
    Needs,
    OccupiedError,
    Sampled,
    Sampler,
    SamplerParams,
    Slice,
    Vocab,
    add_rpc_server,
    borrow_array,
    build,
    check_blocks,
    dequantize_rows,
    describe_array,
    devices,
    ggml_types,
    keep_last_words,
    kernels,
    measure,
    model_file_types,
    needs_importance,
    pays_to_pack,
    pinned_buffer,
    primitive_names,
    quantize_model,
    quantize_rows,
    row_types,
    self_test,
    serve_rpc,
    set_log,
    set_threads,
)

__all__ = [
    "ATTENTION_STEP",
    "LAST_WORDS_BYTES",
    "MAX_GAP",
    "MAX_LAYERS",
    "MAX_SLOTS",
    "MAX_SOURCES",
    "Buffer",
    "Device",
    "ForkedError",
    "Graph",
    "Needs",
    "OccupiedError",
    "Sampled",
    "Sampler",
    "SamplerParams",
    "Slice",
    "Vocab",
    "add_rpc_server",
    "borrow_array",
    "build",
    "check_blocks",
    "dequantize_rows",
    "describe_array",
    "devices",
    "ggml_types",
    "keep_last_words",
    "kernels",
    "measure",
    "model_file_types",
    "needs_importance",
    "pays_to_pack",
    "pinned_buffer",
    "primitive_names",
    "quantize_model",
    "quantize_rows",
    "row_types",
    "self_test",
    "serve_rpc",
    "set_log",
    "set_threads",
]
