"""Operations whose arguments are those of the row of the same name: most of them.

A test compares each with PyTorch's schema, so that a row that takes another order cannot get in here.
"""

from __future__ import annotations

from ggml.programs.rules.table import same_as

_ONE = """
abs acos acosh asin asinh atan atanh bitwise_not ceil cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 floor
frac hardsigmoid hardswish i0 isfinite isinf isnan isneginf isposinf lgamma log log10 log1p log2 logical_not mish
neg positive rad2deg ravel reciprocal relu relu6 round rsqrt selu sigmoid sign signbit silu sin sinc sinh sqrt
square t tan tanh trunc trace
"""

_OPERATORS = """
add sub mul div eq ne lt le gt ge remainder fmod bitwise_and bitwise_or bitwise_xor
"""

_OTHERS = """
addcdiv.default addcmul.default addmm.default addmv.default addr.default adaptive_avg_pool1d.default
adaptive_avg_pool2d.default adaptive_avg_pool3d.default all.default all.dim all.dims amax.default amin.default
any.default any.dim any.dims argmax.default argmin.default argsort.default as_strided.default atan2.default
avg_pool1d.default avg_pool2d.default avg_pool3d.default baddbmm.default bmm.default broadcast_to.default
bucketize.Tensor cat.default cdist.default celu.default channel_shuffle.default chunk.default clamp.default clamp.Tensor
clamp_max.default clamp_max.Tensor clamp_min.default clamp_min.Tensor conv1d.default conv1d.padding conv2d.default
conv2d.padding conv3d.default conv3d.padding copysign.Scalar copysign.Tensor cosine_similarity.default
count_nonzero.default count_nonzero.dim_IntList cummax.default cummin.default cumprod.default cumsum.default
diag.default diag_embed.default diagonal.default diff.default div.Scalar_mode div.Tensor_mode dot.default
expand.default expand_as.default flatten.using_ints flip.default floor_divide.default floor_divide.Scalar fmax.default
fmin.default gather.default gelu.default glu.default
hardshrink.default hardtanh.default hypot.default index_add.default index_copy.default index_fill.int_Scalar
index_select.default kron.default leaky_relu.default lerp.Scalar lerp.Tensor linear.default
log_softmax.int logaddexp.default logaddexp2.default logcumsumexp.default logical_and.default logical_or.default
logical_xor.default logit.default logsumexp.default masked_fill.Scalar masked_fill.Tensor matmul.default max.default
max.dim max_pool1d.default max_pool2d.default max_pool3d.default maximum.default mean.default mean.dim min.default
min.dim minimum.default mm.default movedim.int movedim.intlist mv.default nan_to_num.default narrow.default
outer.default pad.default permute.default pixel_shuffle.default pixel_unshuffle.default pow.Scalar pow.Tensor_Scalar
pow.Tensor_Tensor prelu.default prod.default prod.dim_int repeat.default repeat_interleave.self_int reshape.default
roll.default rsub.Tensor scaled_dot_product_attention.default scatter.src scatter.value scatter_add.default
scatter_reduce.two select.int select_scatter.default slice_scatter.default softmax.int softplus.default
softshrink.default sort.default sort.stable split.Tensor split_with_sizes.default squeeze.default squeeze.dim
squeeze.dims stack.default std.correction std_mean.correction sum.default sum.dim_IntList take.default
take_along_dim.default threshold.default tile.default topk.default transpose.int tril.default triu.default
type_as.default unbind.int unflatten.int unsqueeze.default var.correction var_mean.correction vdot.default view.default
view_as.default where.Scalar where.ScalarOther where.ScalarSelf where.self xlogy.Tensor
"""


def _enter() -> None:
    for name in _ONE.split():
        same_as(name, f"aten.{name}.default")
    for name in _OPERATORS.split():
        same_as(name, f"aten.{name}.Tensor", f"aten.{name}.Scalar")
    for full in _OTHERS.split():
        same_as(full.partition(".")[0], f"aten.{full}")


_enter()
