// A step of Adam in one pass: its fifteen operations would each go through memory.
#include <algorithm>
#include <bit>

#include "kernels/cpu_kinds.h"
#include "kernels/kernel.h"
#include "kernels/lanes.h"

namespace native {
namespace {

struct Settings {
    float rate, root_share, kept;         // of this step
    float fresh, old_square, new_square;  // 1 - beta1, beta2, 1 - beta2
    float eps, decay;
};

// The arrays of one parameter, and the elements that one worker computes.
struct Arrays {
    const float *param, *gradient, *mean, *square;
    float *new_param, *new_mean, *new_square;
    int64_t begin, end;
};

template <int lanes>
INLINE void root(typename Lanes<lanes>::Vector& x) {
    for (int i = 0; i < lanes; ++i) x[i] = __builtin_sqrtf(x[i]);
}

struct AdamStep {
    template <int lanes>
    INLINE static void apply(const Arrays& a, const Settings& s) {
        for (int64_t i = a.begin; i < a.end; i += lanes) {
            const int64_t count = a.end - i;
            typename Lanes<lanes>::Vector param, gradient, mean, square, scale;
            load<lanes>(param, a.param + i, count, 0);
            load<lanes>(gradient, a.gradient + i, count, 0);
            load<lanes>(mean, a.mean + i, count, 0);
            load<lanes>(square, a.square + i, count, 0);
            gradient += param * s.decay;
            mean += (gradient - mean) * s.fresh;
            square = square * s.old_square + gradient * gradient * s.new_square;
            scale = square;
            root<lanes>(scale);
            store<lanes>(a.new_mean + i, count, mean);
            store<lanes>(a.new_square + i, count, square);
            store<lanes>(a.new_param + i, count,
                         param * s.kept - mean / (scale / s.root_share + s.eps) * s.rate);
        }
    }
};

void adam_step(ggml_tensor* dst, int ith, int nth, void* data) {
    const Kernel& kernel = *static_cast<const Kernel*>(data);
    const auto source = [&](int i) { return static_cast<const float*>(dst->src[i]->data); };
    const auto number = [&](int i) { return std::bit_cast<double>(kernel.params[static_cast<size_t>(i)]); };
    const double beta1 = number(0), beta2 = number(1);
    const Settings settings = {source(4)[0],
                               source(5)[0],
                               source(6)[0],
                               static_cast<float>(1 - beta1),
                               static_cast<float>(beta2),
                               static_cast<float>(1 - beta2),
                               static_cast<float>(number(2)),
                               static_cast<float>(number(3))};
    const int64_t n = dst->ne[0];
    auto* out = static_cast<float*>(dst->data);
    const Range range(n, ith, nth);
    const Arrays arrays = {source(0), source(1),   source(2),   source(3), out,
                           out + n,   out + 2 * n, range.begin, range.end};
    for_this_cpu<AdamStep, const Arrays&, const Settings&>()(arrays, settings);
}

}  // namespace

KernelFunction adam_step_kernel() { return adam_step; }

}  // namespace native
