// Layer norm with its scale and shift in one pass over the row that leaves the cache.
#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/cpu_kinds.h"
#include "kernels/lanes.h"
#include "kernels/reduce.h"

namespace native {
namespace {

// The sum of elements, or of their squared distances from `mean`, in float32.
template <int lanes, bool is_squared>
INLINE float block_sum(const float* x, int64_t n, float mean) {
    using Vector = typename Lanes<lanes>::Vector;
    Vector sums[4] = {};
    const auto add = [&](Vector& sum, const float* at, int64_t count) {
        Vector v;
        load<lanes>(v, at, count, mean);
        v -= mean;
        sum += is_squared ? v * v : v;
    };
    int64_t i = 0;
    for (; i + 4 * lanes <= n; i += 4 * lanes)
        for (int c = 0; c < 4; ++c) add(sums[c], x + i + c * lanes, lanes);
    for (; i < n; i += lanes) add(sums[0], x + i, n - i);
    return lane_sum<lanes>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// Blocks in float32, the blocks in float64.
template <int lanes, bool is_squared>
INLINE double row_sum(const float* x, int64_t n, float mean) {
    constexpr int64_t block = 32 * lanes;
    double total = 0;
    for (int64_t begin = 0; begin < n; begin += block)
        total += block_sum<lanes, is_squared>(x + begin, std::min(n - begin, block), mean);
    return total;
}

template <int lanes>
INLINE void norm_row(const float* x, const float* weight, const float* bias, int64_t n, float eps,
                     float* out) {
    using Vector = typename Lanes<lanes>::Vector;
    // From the first element on, so that a large common part does not swallow the rest.
    const double width = static_cast<double>(n);
    const float mean = static_cast<float>(x[0] + row_sum<lanes, false>(x, n, x[0]) / width);
    const double variance = row_sum<lanes, true>(x, n, mean) / width;
    const float share = static_cast<float>(1 / std::sqrt(variance + eps));
    const auto write = [&](int64_t i, int64_t count) {
        Vector v, scale, shift;
        load<lanes>(v, x + i, count, 0);
        load<lanes>(scale, weight + i, count, 0);
        load<lanes>(shift, bias + i, count, 0);
        store<lanes>(out + i, count, (v - mean) * share * scale + shift);
    };
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes) write(i, lanes);
    if (i < n) write(i, n - i);
}

struct Row {
    template <int lanes>
    INLINE static void apply(const float* x, const float* weight, const float* bias, int64_t n, float eps,
                             float* out) {
        norm_row<lanes>(x, weight, bias, n, eps, out);
    }
};

void norm_affine(ggml_tensor* dst, int ith, int nth, void* data) {
    const Kernel& kernel = *static_cast<const Kernel*>(data);
    const float eps = static_cast<float>(std::bit_cast<double>(kernel.params[0]));
    const auto* weight = static_cast<const float*>(dst->src[1]->data);
    const auto* bias = static_cast<const float*>(dst->src[2]->data);
    const auto function =
        for_this_cpu<Row, const float*, const float*, const float*, int64_t, float, float*>();
    each_row<float, float>(dst, ith, nth, [&](const float* x, int64_t n, float* out) {
        function(x, weight, bias, n, eps, out);
    });
}

}  // namespace

KernelFunction norm_affine_kernel() { return norm_affine; }

}  // namespace native
