"""A PyTorch-shaped API over the ggml that the stages use: tensors with torch's names, computed by ggml.

    import ggml
    x = ggml.randn(4, 64)
    y = (x @ ggml.randn(64, 8)).softmax(dim=-1)   # recorded
    print(y)                                       # computed

The distribution is called ggml-cluster, because other distributions already install a module named ``ggml``.
The guard below makes such a clash loud instead of strange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ggml._import_guard import refuse_foreign_ggml

refuse_foreign_ggml()

from ggml import backend, fft, linalg, nn  # noqa: E402
from ggml.backend import get_num_threads, set_num_threads  # noqa: E402
from ggml.compiled import Compiled, compile  # noqa: E402
from ggml.devices import Device, device, devices  # noqa: E402
from ggml.dtypes import DType, promote_types  # noqa: E402
from ggml.errors import (  # noqa: E402
    ArgumentError,
    DeviceMismatchError,
    DimensionError,
    DivisionByZeroError,
    DTypeError,
    FileFormatError,
    GgmlError,
    IndexOutOfRangeError,
    ModuleError,
    OutOfMemoryError,
    RankError,
    ShapeMismatchError,
    StateDictError,
    TracingError,
    UnsupportedOpError,
)
from ggml.evaluation import eval, is_lazy  # noqa: E402
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
from ggml.memory_format import channels_last, channels_last_3d, contiguous_format, preserve_format  # noqa: E402
from ggml.namespace import dtype_names, functions  # noqa: E402
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

if TYPE_CHECKING:
    from ggml._dtype_names import *  # noqa: F403
    from ggml._functions import *  # noqa: F403

globals().update(functions())
globals().update(dtype_names())

frombuffer = from_buffer

__all__ = [
    "ArgumentError",
    "Compiled",
    "DType",
    "DTypeError",
    "Device",
    "DeviceMismatchError",
    "DimensionError",
    "DivisionByZeroError",
    "FileFormatError",
    "Generator",
    "GgmlError",
    "IndexOutOfRangeError",
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
    "as_tensor",
    "backend",
    "bernoulli",
    "channels_last",
    "channels_last_3d",
    "compile",
    "contiguous_format",
    "device",
    "devices",
    "empty",
    "empty_like",
    "eval",
    "eye",
    "fft",
    "from_buffer",
    "from_dlpack",
    "from_numpy",
    "frombuffer",
    "full",
    "full_like",
    "get_num_threads",
    "initial_seed",
    "is_lazy",
    "linalg",
    "linspace",
    "load",
    "manual_seed",
    "nn",
    "normal",
    "ones",
    "ones_like",
    "preserve_format",
    "promote_types",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "save",
    "scalar_tensor",
    "seed",
    "set_num_threads",
    "tensor",
    "zeros",
    "zeros_like",
]
