#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <vector>

#include "kernel.h"

namespace native {
namespace {

template <class T>
bool is_nan(T x) {
    if constexpr (std::is_floating_point_v<T>) return std::isnan(x);
    return false;
}

// Calls run(source_row, n, result_row) for the worker's rows.
template <class T, class R, class Run>
void each_row(ggml_tensor* dst, int ith, int nth, Run run) {
    const ggml_tensor* src = dst->src[0];
    const Range rows(ggml_nrows(src), ith, nth);
    for (int64_t row = rows.begin; row < rows.end; ++row)
        run(static_cast<const T*>(src->data) + row * src->ne[0], src->ne[0],
            static_cast<R*>(dst->data) + row * dst->ne[0]);
}

template <class T, class R, auto f>
void reduce(ggml_tensor* dst, int ith, int nth, void*) {
    each_row<T, R>(dst, ith, nth, [](const T* row, int64_t n, R* out) { *out = f(row, n); });
}

// The first of the best elements; a NaN is better than any number.
template <class T, bool wants_largest>
int64_t best(const T* row, int64_t n) {
    int64_t at = 0;
    for (int64_t i = 0; i < n; ++i) {
        if (is_nan(row[i])) return i;
        if (wants_largest ? row[i] > row[at] : row[i] < row[at]) at = i;
    }
    return at;
}

template <class T, bool wants_largest>
T best_value(const T* row, int64_t n) {
    return row[best<T, wants_largest>(row, n)];
}

// Wide enough that the error of a long product or sum stays below that of one rounding.
template <class T>
using Wide = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
template <class T>
using Result = std::conditional_t<std::is_floating_point_v<T>, float, int64_t>;

template <class T>
Result<T> product(const T* row, int64_t n) {
    Wide<T> total = 1;
    for (int64_t i = 0; i < n; ++i) total *= Wide<T>(row[i]);
    return Result<T>(total);
}

template <class T>
Result<T> sum(const T* row, int64_t n) {
    Wide<T> total = 0;
    for (int64_t i = 0; i < n; ++i) total += Wide<T>(row[i]);
    return Result<T>(total);
}

float any(const float* row, int64_t n) {
    return std::any_of(row, row + n, [](float x) { return x != 0; });
}
float all(const float* row, int64_t n) {
    return std::all_of(row, row + n, [](float x) { return x != 0; });
}

template <class T, bool is_product>
void scan(ggml_tensor* dst, int ith, int nth, void*) {
    each_row<T, Result<T>>(dst, ith, nth, [](const T* row, int64_t n, Result<T>* out) {
        Wide<T> total = is_product;
        for (int64_t i = 0; i < n; ++i) {
            total = is_product ? total * Wide<T>(row[i]) : total + Wide<T>(row[i]);
            out[i] = Result<T>(total);
        }
    });
}

// The place of the best element so far: of equal ones the last, and a NaN stays the best.
template <class T, bool wants_largest>
void scan_best(ggml_tensor* dst, int ith, int nth, void*) {
    each_row<T, int64_t>(dst, ith, nth, [](const T* row, int64_t n, int64_t* out) {
        int64_t at = 0;
        for (int64_t i = 0; i < n; ++i) {
            const bool is_better = wants_largest ? row[i] >= row[at] : row[i] <= row[at];
            if (is_nan(row[i]) || (!is_nan(row[at]) && is_better)) at = i;
            out[i] = at;
        }
    });
}

// The logarithm of the sum of exponentials so far, relative to the largest of them.
void scan_log_sum(ggml_tensor* dst, int ith, int nth, void*) {
    each_row<float, float>(dst, ith, nth, [](const float* row, int64_t n, float* out) {
        double total = -INFINITY;
        for (int64_t i = 0; i < n; ++i) {
            const double x = row[i], high = std::fmax(total, x), low = std::fmin(total, x);
            if (std::isnan(x) || std::isnan(total))
                total = NAN;
            else
                total = std::isinf(high) ? high : high + std::log1p(std::exp(low - high));
            out[i] = static_cast<float>(total);
        }
    });
}

template <class T>
bool comes_before(T x, T y) {
    return is_nan(y) ? !is_nan(x) : x < y;
}

template <class T>
void sort(ggml_tensor* dst, int ith, int nth, void* data) {
    const bool is_descending = static_cast<const Kernel*>(data)->params[1] != 0;
    each_row<T, int64_t>(dst, ith, nth, [&](const T* row, int64_t n, int64_t* out) {
        std::iota(out, out + n, int64_t(0));
        if (is_descending)
            std::stable_sort(out, out + n,
                             [row](int64_t i, int64_t j) { return comes_before(row[j], row[i]); });
        else
            std::stable_sort(out, out + n,
                             [row](int64_t i, int64_t j) { return comes_before(row[i], row[j]); });
    });
}

// The last place of the most frequent element, of the smallest one where several are.
template <class T>
int64_t most_frequent(const T* row, int64_t n) {
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), int64_t(0));
    std::stable_sort(order.begin(), order.end(),
                     [row](int64_t i, int64_t j) { return comes_before(row[i], row[j]); });
    size_t best_end = 0, best_count = 0, begin = 0;
    for (size_t i = 0; i < order.size(); ++i) {
        const T x = row[order[i]], first = row[order[begin]];
        if (!(x == first)) begin = i;
        if (i - begin + 1 > best_count) best_count = i - begin + 1, best_end = i;
    }
    return order[best_end];
}

#define REDUCE(name, T, R, function) \
    KernelEntry { name, 1, type_for<T>, type_for<R>, reduce<T, R, function> }
#define REDUCTIONS(T)                                                                                  \
    REDUCE("max", T, T, (best_value<T, true>)), REDUCE("min", T, T, (best_value<T, false>)),           \
        REDUCE("argmax", T, int64_t, (best<T, true>)), REDUCE("argmin", T, int64_t, (best<T, false>)), \
        REDUCE("prod", T, Result<T>, product<T>), REDUCE("sum", T, Result<T>, sum<T>),                 \
        REDUCE("mode", T, int64_t, most_frequent<T>)

const KernelEntry reductions[] = {
    REDUCTIONS(float),
    REDUCTIONS(int32_t),
    REDUCTIONS(int64_t),
    REDUCE("any", float, float, any),
    REDUCE("all", float, float, all),
};

const KernelEntry scans[] = {
    {"cumsum", 1, GGML_TYPE_F32, GGML_TYPE_F32, scan<float, false>},
    {"cumsum", 1, GGML_TYPE_I64, GGML_TYPE_I64, scan<int64_t, false>},
    {"cumprod", 1, GGML_TYPE_F32, GGML_TYPE_F32, scan<float, true>},
    {"cumprod", 1, GGML_TYPE_I64, GGML_TYPE_I64, scan<int64_t, true>},
    {"cummax", 1, GGML_TYPE_F32, GGML_TYPE_I64, scan_best<float, true>},
    {"cummax", 1, GGML_TYPE_I32, GGML_TYPE_I64, scan_best<int32_t, true>},
    {"cummax", 1, GGML_TYPE_I64, GGML_TYPE_I64, scan_best<int64_t, true>},
    {"cummin", 1, GGML_TYPE_F32, GGML_TYPE_I64, scan_best<float, false>},
    {"cummin", 1, GGML_TYPE_I32, GGML_TYPE_I64, scan_best<int32_t, false>},
    {"cummin", 1, GGML_TYPE_I64, GGML_TYPE_I64, scan_best<int64_t, false>},
    {"logcumsumexp", 1, GGML_TYPE_F32, GGML_TYPE_F32, scan_log_sum},
};

const KernelEntry sorts[] = {
    {"sort", 1, GGML_TYPE_F32, GGML_TYPE_I64, sort<float>},
    {"sort", 1, GGML_TYPE_I32, GGML_TYPE_I64, sort<int32_t>},
    {"sort", 1, GGML_TYPE_I64, GGML_TYPE_I64, sort<int64_t>},
};

}  // namespace

std::span<const KernelEntry> reduce_kernels() { return reductions; }
std::span<const KernelEntry> scan_kernels() { return scans; }
std::span<const KernelEntry> sort_kernels() { return sorts; }

}  // namespace native
