#include <algorithm>
#include <cmath>

#include "kernels/kernel.h"

namespace native {
namespace {

void sum_rows(float* out, const float* rows, int64_t width, int64_t count) {
    std::copy(rows, rows + width, out);
    for (int64_t row = 1; row < count; ++row)
        for (int64_t i = 0; i < width; ++i) out[i] += rows[row * width + i];
}

// A NaN wins.
void largest_rows(float* out, const float* rows, int64_t width, int64_t count) {
    std::copy(rows, rows + width, out);
    for (int64_t row = 1; row < count; ++row)
        for (int64_t i = 0; i < width; ++i) {
            const float x = rows[row * width + i];
            if (std::isnan(x) || x > out[i]) out[i] = x;
        }
}

void bag(ggml_tensor* dst, int ith, int nth, void* data) {
    const Kernel& kernel = *static_cast<const Kernel*>(data);
    const ggml_tensor* src = dst->src[0];
    const auto* bounds = static_cast<const int64_t*>(dst->src[1]->data);
    const int64_t width = src->ne[0], limit = src->ne[1];
    const Range bags(dst->ne[1], ith, nth);
    for (int64_t at = bags.begin; at < bags.end; ++at) {
        const int64_t begin = bounds[at], end = bounds[at + 1];
        float* out = static_cast<float*>(dst->data) + at * width;
        const int64_t lowest = at == 0 ? 0 : begin;
        const bool is_bad = begin != lowest || begin < 0 || end < begin || end > limit;
        if (is_bad)
            kernel.fault->report(FaultKind::index, kernel.step, begin < 0 || begin != lowest ? begin : end,
                                 limit + 1);
        if (is_bad || begin == end) {
            std::fill(out, out + width, 0.0f);
            continue;
        }
        const float* rows = static_cast<const float*>(src->data) + begin * width;
        (kernel.params[0] == 0 ? sum_rows : largest_rows)(out, rows, width, end - begin);
    }
}

}  // namespace

KernelFunction bag_kernel() { return bag; }

}  // namespace native
