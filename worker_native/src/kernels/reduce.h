// Functions that kernels over rows share.
#pragma once

#include <cmath>
#include <type_traits>

#include "kernels/kernel.h"

namespace native {

template <class T>
bool is_nan(T x) {
    if constexpr (std::is_floating_point_v<T>) return std::isnan(x);
    return false;
}

// The order of a sort: a NaN comes after every number.
template <class T>
bool comes_before(T x, T y) {
    return is_nan(y) ? !is_nan(x) : x < y;
}

// Wide enough that the error of a long product or sum stays below that of one rounding.
template <class T>
using Wide = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
template <class T>
using Result = std::conditional_t<std::is_floating_point_v<T>, float, int64_t>;

// Calls run(source_row, n, result_row) for the worker's rows.
template <class T, class R, class Run>
void each_row(ggml_tensor* dst, int ith, int nth, Run run) {
    const ggml_tensor* src = dst->src[0];
    const Range rows(ggml_nrows(src), ith, nth);
    for (int64_t row = rows.begin; row < rows.end; ++row)
        run(static_cast<const T*>(src->data) + row * src->ne[0], src->ne[0],
            static_cast<R*>(dst->data) + row * dst->ne[0]);
}

}  // namespace native
