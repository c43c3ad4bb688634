"""The public names of ``ggml``: all are loaded together, when the first of them is used."""

from __future__ import annotations

from typing import Any

import ggml.amp as amp
import ggml.autograd as autograd
import ggml.backend as backend
import ggml.data as data
import ggml.debug as debug
import ggml.export as export
import ggml.fft as fft
import ggml.func as func
import ggml.library as library
import ggml.linalg as linalg
import ggml.metrics as metrics
import ggml.nn as nn
import ggml.onnx as onnx
import ggml.optim as optim
import ggml.profiler as profiler
import ggml.quantization as quantization
import ggml.random as random
import ggml.signal as signal
import ggml.special as special
import ggml.utils as utils
import ggml.vision as vision
from ggml.core.autocast import autocast, get_autocast_dtype, is_autocast_enabled
from ggml.core.devices import Device, device, devices
from ggml.core.dtypes import DType, promote_types
from ggml.core.errors import (
    ArgumentError,
    CancelledError,
    ClosedTensorError,
    DeviceMismatchError,
    DimensionError,
    DivisionByZeroError,
    DTypeError,
    FileFormatError,
    ForkedProcessError,
    GgmlError,
    GradientError,
    IndexOutOfRangeError,
    LinAlgError,
    ModuleError,
    OutOfMemoryError,
    RankError,
    ShapeMismatchError,
    StateDictError,
    TracingError,
    UnsupportedOpError,
    WorkerError,
)
from ggml.core.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from ggml.core.memory import Arena, arena
from ggml.core.memory_format import (
    Layout,
    channels_last,
    channels_last_3d,
    contiguous_format,
    preserve_format,
    strided,
)
from ggml.generation import generate, generate_stream
from ggml.graph.threads import get_num_threads, set_num_threads
from ggml.io.loading import load
from ggml.io.writing import save
from ggml.ops import namespace
from ggml.ops.create.factories import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    scalar_tensor,
    tensor,
    zeros,
    zeros_like,
)
from ggml.ops.create.interop import from_buffer, from_dlpack, from_numpy
from ggml.ops.create.random import (
    Generator,
    bernoulli,
    initial_seed,
    manual_seed,
    normal,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    seed,
)
from ggml.ops.predicates import (
    broadcast_shapes,
    can_cast,
    finfo,
    get_default_dtype,
    iinfo,
    is_complex,
    is_floating_point,
    is_nonzero,
    is_tensor,
    numel,
    result_type,
)
from ggml.programs import load_program
from ggml.sampling.params import SamplingParams
from ggml.tensors.compiled import Compiled, compile
from ggml.tensors.eval import eval, eval_async, is_lazy
from ggml.tensors.size import Size
from ggml.tensors.tensor import Tensor
from ggml.training import CompiledStep, compile_step

frombuffer = from_buffer

__all__ = [
    "Arena",
    "ArgumentError",
    "CancelledError",
    "ClosedTensorError",
    "Compiled",
    "CompiledStep",
    "DType",
    "DTypeError",
    "Device",
    "DeviceMismatchError",
    "DimensionError",
    "DivisionByZeroError",
    "FileFormatError",
    "ForkedProcessError",
    "Generator",
    "GgmlError",
    "GradientError",
    "IndexOutOfRangeError",
    "Layout",
    "LinAlgError",
    "ModuleError",
    "OutOfMemoryError",
    "RankError",
    "SamplingParams",
    "ShapeMismatchError",
    "Size",
    "StateDictError",
    "Tensor",
    "TracingError",
    "UnsupportedOpError",
    "WorkerError",
    "amp",
    "arange",
    "arena",
    "as_tensor",
    "autocast",
    "autograd",
    "backend",
    "bernoulli",
    "broadcast_shapes",
    "can_cast",
    "channels_last",
    "channels_last_3d",
    "compile",
    "compile_step",
    "contiguous_format",
    "data",
    "debug",
    "device",
    "devices",
    "empty",
    "empty_like",
    "enable_grad",
    "eval",
    "eval_async",
    "export",
    "eye",
    "fft",
    "finfo",
    "from_buffer",
    "from_dlpack",
    "from_numpy",
    "frombuffer",
    "full",
    "full_like",
    "func",
    "generate",
    "generate_stream",
    "get_autocast_dtype",
    "get_default_dtype",
    "get_num_threads",
    "iinfo",
    "inference_mode",
    "initial_seed",
    "is_autocast_enabled",
    "is_complex",
    "is_floating_point",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "is_lazy",
    "is_nonzero",
    "is_tensor",
    "library",
    "linalg",
    "linspace",
    "load",
    "load_program",
    "manual_seed",
    "metrics",
    "nn",
    "no_grad",
    "normal",
    "numel",
    "ones",
    "ones_like",
    "onnx",
    "optim",
    "preserve_format",
    "profiler",
    "promote_types",
    "quantization",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "random",
    "randperm",
    "result_type",
    "save",
    "scalar_tensor",
    "seed",
    "set_grad_enabled",
    "set_num_threads",
    "signal",
    "special",
    "strided",
    "tensor",
    "utils",
    "vision",
    "zeros",
    "zeros_like",
]

#: Every name that ``ggml`` offers beside its submodules; those of the table and of the dtypes are no variables here.
NAMES: dict[str, Any] = {
    **{name: globals()[name] for name in __all__},
    **namespace.functions(),
    **namespace.dtype_names(),
    "__all__": __all__,  # last: where it is, all are
}
