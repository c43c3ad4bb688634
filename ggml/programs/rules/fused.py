"""Operations that passes put in the place of several: in files they are called ``ggml.``, and not ``aten.``."""

from __future__ import annotations

from ggml.ops.nn.gated import geglu as geglu_units
from ggml.ops.nn.gated import swiglu as swiglu_units
from ggml.ops.nn.rotary import rotated
from ggml.programs.rules.table import lowering
from ggml.tensors.tensor import Tensor


@lowering("ggml.rope")
def rope(input: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """``input * cos + rotate_half(input) * sin``."""
    return rotated(input, cos, sin)


@lowering("ggml.swiglu")
def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """``silu(gate) * up``."""
    return swiglu_units(gate, up)


@lowering("ggml.geglu")
def geglu(gate: Tensor, up: Tensor) -> Tensor:
    """``gelu(gate) * up``."""
    return geglu_units(gate, up)
