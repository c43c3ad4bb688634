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

from ggml import (  # noqa: E402
    backend,
    debug,
    fft,
    linalg,
    nn,
    quantization,
    signal,
    special,
)
from ggml.arena import Arena, arena  # noqa: E402
from ggml.compiled import Compiled, compile  # noqa: E402
from ggml.devices import Device, device, devices  # noqa: E402
from ggml.dtypes import DType, promote_types  # noqa: E402
from ggml.dtypes import instead_of as _instead_of  # noqa: E402
from ggml.errors import (  # noqa: E402
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
from ggml.evaluation import eval, eval_async, is_lazy  # noqa: E402
from ggml.exchange import from_buffer, from_dlpack, from_numpy  # noqa: E402
from ggml.factories import (  # noqa: E402
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
from ggml.files import load, save  # noqa: E402
from ggml.grad_mode import (  # noqa: E402
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from ggml.memory_format import (  # noqa: E402
    Layout,
    channels_last,
    channels_last_3d,
    contiguous_format,
    preserve_format,
    strided,
)
from ggml.namespace import dtype_names, functions  # noqa: E402
from ggml.queries import (  # noqa: E402
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
from ggml.random import (  # noqa: E402
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
from ggml.tensor import Size, Tensor  # noqa: E402
from ggml.threads import get_num_threads, set_num_threads  # noqa: E402

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
