"""Every tensor type of ggml 0.25.3 that a file may hold: number, elements per block, bytes per block.

Source: enum ggml_type in ggml.h, the block structs in ggml-common.h. The numbers that are left out were
removed from ggml (their block size there is 0) and are refused by the reader. The native extension has the same
table; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TensorType:
    """A row of n elements takes n / block_size * block_bytes bytes; n is a multiple of block_size."""

    number: int
    name: str
    block_size: int
    block_bytes: int

    @property
    def is_quantized(self) -> bool:
        return self.block_size > 1

    def row_bytes(self, num_elements: int) -> int:
        return num_elements // self.block_size * self.block_bytes


_ROWS = (
    (0, "F32", 1, 4),
    (1, "F16", 1, 2),
    (2, "Q4_0", 32, 18),
    (3, "Q4_1", 32, 20),
    (6, "Q5_0", 32, 22),
    (7, "Q5_1", 32, 24),
    (8, "Q8_0", 32, 34),
    (9, "Q8_1", 32, 36),
    (10, "Q2_K", 256, 84),
    (11, "Q3_K", 256, 110),
    (12, "Q4_K", 256, 144),
    (13, "Q5_K", 256, 176),
    (14, "Q6_K", 256, 210),
    (15, "Q8_K", 256, 292),
    (16, "IQ2_XXS", 256, 66),
    (17, "IQ2_XS", 256, 74),
    (18, "IQ3_XXS", 256, 98),
    (19, "IQ1_S", 256, 50),
    (20, "IQ4_NL", 32, 18),
    (21, "IQ3_S", 256, 110),
    (22, "IQ2_S", 256, 82),
    (23, "IQ4_XS", 256, 136),
    (24, "I8", 1, 1),
    (25, "I16", 1, 2),
    (26, "I32", 1, 4),
    (27, "I64", 1, 8),
    (28, "F64", 1, 8),
    (29, "IQ1_M", 256, 56),
    (30, "BF16", 1, 2),
    (34, "TQ1_0", 256, 54),
    (35, "TQ2_0", 256, 66),
    (39, "MXFP4", 32, 17),
    (40, "NVFP4", 64, 36),
    (41, "Q1_0", 128, 18),
    (42, "Q2_0", 64, 18),
)

TENSOR_TYPES: dict[int, TensorType] = {row[0]: TensorType(*row) for row in _ROWS}

F32 = TENSOR_TYPES[0]
F16 = TENSOR_TYPES[1]
I8 = TENSOR_TYPES[24]
Q1_0 = TENSOR_TYPES[41]

#: The same by their names in lower case.
BY_NAME = {kind.name.lower(): kind for kind in TENSOR_TYPES.values()}


def tensor_type(name: str) -> TensorType:
    """The type of this name in either case ("f16", "Q8_0"); ValueError for an unknown one."""
    found = BY_NAME.get(name.lower())
    if found is None:
        raise ValueError(f"tensor type {name!a}: unknown; choose one of {', '.join(BY_NAME)}")
    return found
