// Rows to rows of the same length.
#include <algorithm>
#include <numeric>

#include "kernels/reduce.h"

namespace native {
namespace {

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
void sort(ggml_tensor* dst, int ith, int nth, void* data) {
    const bool is_descending = static_cast<const Kernel*>(data)->params[0] != 0;
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

std::span<const KernelEntry> scan_kernels() { return scans; }
std::span<const KernelEntry> sort_kernels() { return sorts; }

}  // namespace native
