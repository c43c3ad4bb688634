"""What PyTorch keeps in ``torch.special`` beside its names for other rows: gamma and Bessel functions, shares of
distributions, zeta. Kernels of ours compute them in double precision and round once."""

from __future__ import annotations

import math
from collections.abc import Callable

from ggml.core import dtypes
from ggml.core.dtypes import NUMERIC, PLAIN
from ggml.core.errors import ArgumentError, DTypeError
from ggml.ops.elementwise.arithmetic import floating_pair
from ggml.ops.elementwise.pointwise import Unary, kernel
from ggml.ops.elementwise.selection import where
from ggml.registry.arguments import convert, floating, integer, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor

_LIMIT = "Of an infinity the limit; PyTorch answers NaN."
_DIGITS = _LIMIT + " Of large elements all digits are right, of which PyTorch loses some."


def _kernel_row(name: str, text: str, place: str | None = None, code: str | None = None, differs: str = "") -> Unary:
    """A row of one operand: ``special.NAME`` in PyTorch unless ``place`` says another one."""

    def function(input: Tensor) -> Tensor:
        x = floating(name, input)
        return make(name, (x,), (), x._node.shape, x._node.dtype)

    function.__name__, function.__doc__ = name, text
    is_top = place == name
    row = op(
        runs="kernel",
        sample="special_unary",
        lower=kernel(code or name),
        dtypes=PLAIN,
        torch=place or f"special.{name}",
        methods=None if is_top else (),
        inplace=is_top,
        differs=differs,
    )
    return row(function)


i0 = _kernel_row("i0", "The modified Bessel function of order 0.", "i0", differs=_LIMIT)
i0e = _kernel_row("i0e", "``i0`` times ``exp(-|input|)``.")
i1 = _kernel_row("i1", "The modified Bessel function of order 1.", differs=_LIMIT)
i1e = _kernel_row("i1e", "``i1`` times ``exp(-|input|)``.")
erfcx = _kernel_row("erfcx", "``exp(input ** 2) * erfc(input)``.")
log_ndtr = _kernel_row("log_ndtr", "The logarithm of ``ndtr``, exact in the far tail.")
ndtri = _kernel_row("ndtri", "The inverse of ``ndtr``.")
bessel_j0 = _kernel_row("bessel_j0", "The Bessel function of the first kind of order 0.", code="j0", differs=_DIGITS)
bessel_j1 = _kernel_row("bessel_j1", "The Bessel function of the first kind of order 1.", code="j1", differs=_DIGITS)
bessel_y0 = _kernel_row("bessel_y0", "The Bessel function of the second kind of order 0.", code="y0", differs=_DIGITS)
bessel_y1 = _kernel_row("bessel_y1", "The Bessel function of the second kind of order 1.", code="y1", differs=_DIGITS)
modified_bessel_k0 = _kernel_row("modified_bessel_k0", "The modified function of the second kind, order 0.", code="k0")
modified_bessel_k1 = _kernel_row("modified_bessel_k1", "The modified function of the second kind, order 1.", code="k1")
scaled_modified_bessel_k0 = _kernel_row(
    "scaled_modified_bessel_k0", "``modified_bessel_k0`` times ``exp(input)``.", code="k0e"
)
scaled_modified_bessel_k1 = _kernel_row(
    "scaled_modified_bessel_k1", "``modified_bessel_k1`` times ``exp(input)``.", code="k1e"
)


def _composed_row(name: str, text: str, compute: Callable[[Tensor], Tensor], sample: str = "special_unary") -> Unary:
    def function(input: Tensor) -> Tensor:
        x = floating(name, input)
        return convert(compute(convert(x, dtypes.float32)), x.dtype)

    function.__name__, function.__doc__ = name, text
    return op(runs="composed", sample=sample, dtypes=PLAIN, torch=f"special.{name}", methods=())(function)


ndtr = _composed_row(
    "ndtr", "The share of a normal distribution below each element.", lambda x: (x * -math.sqrt(0.5)).erfc() * 0.5
)


def _entropy(x: Tensor) -> Tensor:
    return -(x * x.log())


# What is not chosen must not be NaN, because its gradient would be. At 0 the square root has the value and the slope.
entr = _composed_row(
    "entr",
    "``-input * log(input)``: 0 at 0, -inf below.",
    lambda x: where(
        x.eq(0), where(x.eq(0), x, 1.0).sqrt(), where(x.lt(0), -math.inf, _entropy(where(x.eq(0), 1.0, x)))
    ),
)
spherical_bessel_j0 = _composed_row(
    "spherical_bessel_j0",
    "``sin(input) / input``, and 1 at 0.",
    lambda x: where(x.isinf(), 0.0, where(x.eq(0), 1.0, x.sin() / where(x.eq(0), 1.0, x))),
)

zeta = floating_pair("zeta", "The Hurwitz zeta function: the sum of ``(k + other) ** -input``.", "special.zeta")
igamma = floating_pair("igamma", "The share of the gamma distribution of shape ``input`` below ``other``.", "igamma")
igammac = floating_pair("igammac", "The share of the gamma distribution of shape ``input`` above ``other``.", "igammac")
nextafter = floating_pair("nextafter", "The next float after ``input`` towards ``other``.", "nextafter")


@op(runs="composed", sample="polygamma", dtypes=PLAIN, methods=())
def polygamma(n: int, input: Tensor) -> Tensor:
    """The ``n``-th derivative of ``digamma``."""
    order = integer("polygamma", n, "n")
    if order < 0:
        raise ArgumentError("polygamma", "n", f"must not be negative: {n}")
    x = floating("polygamma", input)
    if order == 0:
        return x.digamma()
    wide = convert(x, dtypes.float32)
    size = math.exp(math.lgamma(order + 1)) if order < 34 else math.inf
    return convert(zeta(wide.detach() * 0.0 + float(order + 1), wide) * (size if order % 2 else -size), x.dtype)


@op(
    runs="composed",
    sample="polygamma_method",
    dtypes=PLAIN,
    torch="Tensor.polygamma",
    methods=("polygamma",),
    inplace=True,
)
def polygamma_method(input: Tensor, n: int) -> Tensor:
    """The ``n``-th derivative of ``digamma``."""
    return polygamma(n, input)


@op(runs="composed", sample="mvlgamma", dtypes=NUMERIC, inplace=True)
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the gamma function in ``p`` dimensions."""
    count = integer("mvlgamma", p, "p")
    if not 1 <= count <= 1 << 16:
        raise ArgumentError("mvlgamma", "p", f"must be at least 1: {p}")
    if tensor("mvlgamma", input).dtype is dtypes.bool_:
        raise DTypeError("mvlgamma", "numbers", dtypes.bool_)
    x = floating("mvlgamma", input)
    wide = convert(x, dtypes.float32)
    steps = [(wide - 0.5 * k).lgamma() for k in range(count)]
    total = steps[0]
    for step in steps[1:]:
        total = total + step
    return convert(total + count * (count - 1) / 4 * math.log(math.pi), x.dtype)
