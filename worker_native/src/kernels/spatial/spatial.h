// Kernels over up to three spatial axes: their tensors are [I2, I1, I0, planes] with the innermost axis
// first. Geometry is given outermost axis first; a tensor of fewer axes has extents of 1 in front.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/kernel.h"

namespace native {

using Triple = std::array<int64_t, 3>;

// The three parameters from `at` on, outermost axis first.
inline Triple triple(const std::vector<int64_t>& params, size_t at) {
    return {params[at], params[at + 1], params[at + 2]};
}
// The spatial extents of a tensor, outermost first.
inline Triple spatial(const ggml_tensor* t) { return {t->ne[2], t->ne[1], t->ne[0]}; }
inline int64_t product(const Triple& t) { return t[0] * t[1] * t[2]; }

// params: low[3], stride[3], fill (bits). Each plane becomes one plane for each phase of the strides: element
// q of phase s is element q * stride + s - low of the source, or the fill where the source has none.
KernelFunction arrange_kernel(ggml_type type);

// Sources: arranged planes, weights [taps * channels, out_channels], and perhaps a bias [out_channels].
// params: groups, kernel[3], stride[3], dilation[3].
KernelFunction convolve_kernel();

// [positions, taps, planes] to planes: each column is added where its window lies.
// params: kernel[3], stride[3], low[3], dilation[3], positions[3].
KernelFunction fold_kernel();

// params: is_adaptive, kernel[3], stride[3], low[3], dilation[3], counts_padding, divisor (0: the window's).
KernelFunction max_pool_kernel(ggml_type type);
KernelFunction max_pool_index_kernel(ggml_type type);
KernelFunction avg_pool_kernel();

// [inner, n, outer] with I64 places and F32 weights [m, taps] to [inner, m, outer]: weighted sums.
KernelFunction resample_kernel();

}  // namespace native
