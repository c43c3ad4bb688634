"""Which rows of the table have a derivative, and why others have none: what the page of operations shows."""

from __future__ import annotations

from ggml.autograd.derivative import DERIVATIVES, WITHOUT
from ggml.ops.namespace import TABLE

HAS, CONSTANT = "has", "constant"

#: Rows whose results are integers, bools or Python's values, or depend on no element: nothing can be differentiated.
_CONSTANT = frozenset(
    [
        "isnan",
        "isinf",
        "isfinite",
        "logical_not",
        "bitwise_not",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "bitwise_left_shift",
        "bitwise_right_shift",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "logical_and",
        "logical_or",
        "logical_xor",
        "gcd",
        "lcm",
        "signbit",
        "isclose",
        "isposinf",
        "isneginf",
        "isreal",
        "int",
        "long",
        "bool",
        "argmax",
        "argmin",
        "any",
        "all",
        "count_nonzero",
        "searchsorted",
        "bucketize",
        "argsort",
        "one_hot",
        "unravel_index",
        "isin",
        "allclose",
        "equal",
        "is_same_size",
        "nonzero",
        "argwhere",
        "unique",
        "unique_consecutive",
        "multinomial",
        "matrix_rank",
        "histc",
        "bincount",
        "histogram",
        "tril_indices",
        "triu_indices",
        "logspace",
        "new_zeros",
        "new_ones",
        "new_full",
        "new_tensor",
        "new_empty",
        "fft_fftfreq",
        "fft_rfftfreq",
        "hann_window",
        "blackman_window",
        "hamming_window",
        "bartlett_window",
        "kaiser_window",
        "signal_hann",
        "signal_hamming",
        "signal_blackman",
        "signal_nuttall",
        "signal_general_cosine",
        "signal_general_hamming",
        "signal_bartlett",
        "signal_cosine",
        "signal_gaussian",
        "signal_exponential",
        "signal_kaiser",
        "cummax_place",
        "cummin_place",
        "mode_place",
        "window_place",
        "timestep_embedding",
    ]
)


def derivatives() -> dict[str, str]:
    """For each row ``HAS``, ``CONSTANT``, or why it has no derivative. Composed rows have those of their parts."""
    found = {}
    for row in TABLE.values():
        if row.name in WITHOUT:
            found[row.name] = WITHOUT[row.name]
        elif row.name in _CONSTANT:
            found[row.name] = CONSTANT
        elif row.runs == "composed" or row.name in DERIVATIVES:
            found[row.name] = HAS
        else:
            found[row.name] = "nobody has written one"
    return found
