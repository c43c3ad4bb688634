"""A PyTorch-shaped API over the ggml that the stages use: tensors with torch's names, computed by ggml.

    import ggml
    x = ggml.randn(4, 64)
    y = (x @ ggml.randn(64, 8)).softmax(dim=-1)   # recorded
    print(y)                                       # computed

The distribution is called ggml-cluster, because other distributions already install a module named ``ggml``.
The guard below makes such a clash loud instead of strange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ggml._import_guard import refuse_foreign_ggml

refuse_foreign_ggml()

from ggml import (
    backend,
    debug,
    fft,
    linalg,
    nn,
    quantization,
    random,
    signal,
    special,
)
from ggml.core.devices import Device, device, devices
from ggml.core.dtypes import DType, promote_types
from ggml.core.dtypes import instead_of as _instead_of
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
    IndexOutOfRangeError,
    LinAlgError,
    ModuleError,
    OutOfMemoryError,
    RankError,
    ShapeMismatchError,
    StateDictError,
    TracingError,
    UnsupportedOpError,
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
from ggml.graph.threads import get_num_threads, set_num_threads
from ggml.io.reading import load
from ggml.io.writing import save
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
from ggml.ops.namespace import dtype_names, functions
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
from ggml.tensors.compiled import Compiled, compile
from ggml.tensors.eval import eval, eval_async, is_lazy
from ggml.tensors.size import Size
from ggml.tensors.tensor import Tensor

if TYPE_CHECKING:
    from ggml._dtype_names import *  # noqa: F403
    from ggml._functions import *  # noqa: F403

globals().update(functions())
globals().update(dtype_names())

frombuffer = from_buffer

if TYPE_CHECKING:
    __version__: str
else:  # a checker would take every name for one of ours

    def __getattr__(name: str) -> Any:
        """``ggml.__version__``, looked up when it is asked for. A dtype of PyTorch's says what takes its place."""
        if name == "__version__":
            from importlib.metadata import version

            return version("ggml-cluster")
        hint = _instead_of(name)
        raise ModuleError(f"module 'ggml' has no attribute {name!r}" + (f"; {hint}" if hint else ""), name)


__all__ = [
    "Arena",
    "ArgumentError",
    "CancelledError",
    "ClosedTensorError",
    "Compiled",
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
    "IndexOutOfRangeError",
    "Layout",
    "LinAlgError",
    "ModuleError",
    "OutOfMemoryError",
    "RankError",
    "ShapeMismatchError",
    "Size",
    "StateDictError",
    "Tensor",
    "TracingError",
    "UnsupportedOpError",
    "arange",
    "arena",
    "as_tensor",
    "backend",
    "bernoulli",
    "broadcast_shapes",
    "can_cast",
    "channels_last",
    "channels_last_3d",
    "compile",
    "contiguous_format",
    "debug",
    "device",
    "devices",
    "empty",
    "empty_like",
    "enable_grad",
    "eval",
    "eval_async",
    "eye",
    "fft",
    "finfo",
    "from_buffer",
    "from_dlpack",
    "from_numpy",
    "frombuffer",
    "full",
    "full_like",
    "get_default_dtype",
    "get_num_threads",
    "iinfo",
    "inference_mode",
    "initial_seed",
    "is_complex",
    "is_floating_point",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "is_lazy",
    "is_nonzero",
    "is_tensor",
    "linalg",
    "linspace",
    "load",
    "manual_seed",
    "nn",
    "no_grad",
    "normal",
    "numel",
    "ones",
    "ones_like",
    "preserve_format",
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
    "zeros",
    "zeros_like",
]
