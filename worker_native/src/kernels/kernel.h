// Our own CPU kernels, for what ggml has no operation for (or one that differs from PyTorch's). They enter
// a graph as ggml's custom operations: the scheduler runs them on the CPU.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/libllama.h"

namespace native {

enum class FaultKind { none, index, division, memory };

// A fault that a kernel found in the data; the first report of a run stays. Kernels cannot throw.
struct Fault {
    std::atomic<FaultKind> kind = FaultKind::none;
    std::atomic<int64_t> step = 0, value = 0, limit = 0;

    void report(FaultKind what, int64_t at_step, int64_t bad, int64_t bound) {
        FaultKind expected = FaultKind::none;
        if (kind.compare_exchange_strong(expected, what)) step = at_step, value = bad, limit = bound;
    }
    void clear() { kind = FaultKind::none; }
};

// The user data of one custom operation; lives as long as its graph.
struct Kernel {
    std::vector<int64_t> params;
    int64_t step;
    Fault* fault;
    std::shared_ptr<const void> plan = nullptr;  // what the kernel computed while the graph was built
};

using KernelFunction = ggml_custom_op_t;

// One instance of a family of kernels: the type is that of the last source.
struct KernelEntry {
    const char* name;
    int arity;
    ggml_type source;
    ggml_type result;
    KernelFunction function;
};

// Elementwise; the sources have the result's extents and any strides, 0 included.
std::span<const KernelEntry> map_kernels();
// Rows to one value each: contiguous [n, ...] to [1, ...].
std::span<const KernelEntry> reduce_kernels();
// Columns to one value each: contiguous [inner, n, outer] to [inner, 1, outer].
std::span<const KernelEntry> column_kernels();
// Rows to rows of the same length, contiguous.
std::span<const KernelEntry> scan_kernels();
// Rows to rows of the same length, contiguous F32: softmax and others that are made of exponentials.
std::span<const KernelEntry> exp_kernels();
// Rows to the stable order of their elements, I64. NaN is greater than any number. params: is_descending.
std::span<const KernelEntry> sort_kernels();

// Base [inner, n, outer], I64 indices ([m], or as large as the source), source [inner, m, outer] to the base
// with each element of the source put, added ... where its index says. params: may_wrap.
std::span<const KernelEntry> scatter_kernels();
// Values [m, rows] and ascending rows [n, rows] or [n] to I64 places [m, rows]. params: is_right.
std::span<const KernelEntry> search_kernels();
// A contiguous tensor with a contiguous source put where a pattern of falling strides says.
// params: num_axes, shape..., strides... (elements), offset (elements).
KernelFunction paste_kernel(ggml_type type);

// Contiguous copy of any strided pattern over a contiguous source, up to 8 axes.
// params: num_axes, shape..., strides... (elements, signed), offset (elements).
KernelFunction copy_kernel(ggml_type type);
// [n, rows] and I64 [m, rows] to [m, rows]: picks along the innermost axis.
KernelFunction gather_kernel(ggml_type type);
// [inner, n, outer] and I64 [m] to [inner, m, outer].
KernelFunction take_kernel();
// I64 to I32, checked. params: limit, may_wrap.
KernelFunction index_kernel();
// F32 gates [4 n, count] of the input and of the state, and cell [n, count], to hidden and cell [n, count,
// 2].
KernelFunction lstm_cell_kernel();
// F32 gates of the input [4 n, count, steps], the state's weight transposed [4 n, n], hidden and cell [n,
// count] to [n, count, steps + 1]: the hidden states, and the last cell behind them. params: is_backwards.
KernelFunction lstm_sequence_kernel();
// F32 queries [E, L, H, B], keys [E, S, H or fewer, B] and values [Ev, S, H or fewer, B] in rows without gaps
// to the values' means [Ev, L, H, B], weighted by the softmax of the scaled scores. params: scale.
KernelFunction attend_kernel();
// F32 parameter, gradient, mean of gradients and mean of their squares [n] and three rates of Adam's step to
// the new parameter and means [n, 3]. The rates: of the mean, the root of what there is of the squares, and
// how much of the parameter is kept. params: beta1, beta2, eps, how much of the parameter is added to the
// gradient.
KernelFunction adam_step_kernel();
// F32 rows [n, ...], weight [n] and bias [n] to rows of mean 0 and variance 1, scaled and shifted. params:
// eps.
KernelFunction norm_affine_kernel();
// F32 rows [K, M] to panels of them, packed_elements(K, M) in all, and those and rows [K, N] and perhaps a
// bias [N] to the products of all rows with all rows [N, M]. `pays_to_pack` where that is faster than ggml's
// product.
KernelFunction pack_kernel();
KernelFunction multiply_kernel();
int64_t packed_elements(int64_t depth, int64_t num_rows);
bool pays_to_pack();
// F32 matrices [M, K] of any strides, 0 included, times matrices [K, N] of any type whose rows have no gaps,
// in two outer axes. N is a multiple of 16, and with everything that counts elements of a quantised right
// side one of its blocks. params: outer extents (2), M, K, N; of the left side the strides of the outer axes,
// of a row and of an element, and the offset; of the right side the strides of the outer axes and of a row,
// and the offset.
KernelFunction product_kernel();
// F32 rows [2 n, T, H, B] of any outer strides, and cosines and sines [2 n, T or 1, H or 1, B or 1], to the
// rows times the cosines plus (minus the second half, the first half) times the sines.
KernelFunction rotate_kernel();
// F32 [inner, n] and I64 bounds [bags + 1] to [inner, bags]: the rows from one bound to the next, summed
// (params: 0) or their largest elements (1); 0 where there are none.
KernelFunction bag_kernel();
// Fourier transforms of rows, as a RowTransform plans them. params: mode, n, is_inverse, factor (bits), inner
// of the source, inner of the result. Both are [outer, count, inner] elements, of which a row is one for each
// count. mode 0: n pairs to n pairs; 1: n numbers to n / 2 + 1 pairs; 2: back.
KernelFunction fourier_kernel();

template <class T>
inline constexpr ggml_type type_for = GGML_TYPE_COUNT;
template <>
inline constexpr ggml_type type_for<float> = GGML_TYPE_F32;
template <>
inline constexpr ggml_type type_for<int32_t> = GGML_TYPE_I32;
template <>
inline constexpr ggml_type type_for<int64_t> = GGML_TYPE_I64;

// The part of [0, total) that worker `ith` of `nth` does.
struct Range {
    int64_t begin, end;
    Range(int64_t total, int ith, int nth) : begin(total * ith / nth), end(total * (ith + 1) / nth) {}
};

// A NaN wins, as in PyTorch.
template <class T>
T larger(T x, T y) {
    if constexpr (std::is_floating_point_v<T>)
        if (std::isnan(x) || std::isnan(y)) return x + y;
    return x < y ? y : x;
}
template <class T>
T smaller(T x, T y) {
    if constexpr (std::is_floating_point_v<T>)
        if (std::isnan(x) || std::isnan(y)) return x + y;
    return y < x ? y : x;
}

}  // namespace native
