// A step of Adam in three passes: its fifteen operations would each go through memory. Each pass has one
// result, which is written where it is to stay.
#include <bit>

#include "kernels/cpu_kinds.h"
#include "kernels/kernel.h"
#include "kernels/lanes.h"

namespace native {
namespace {

// The arrays of one parameter, and the elements that one worker computes.
struct Arrays {
    const float *first, *second, *third;
    float* out;
    int64_t begin, end;

    Arrays(ggml_tensor* dst, int ith, int nth)
        : first(source(dst, 0)),
          second(source(dst, 1)),
          third(source(dst, 2)),
          out(static_cast<float*>(dst->data)) {
        const Range range(dst->ne[0], ith, nth);
        begin = range.begin, end = range.end;
    }
    static const float* source(const ggml_tensor* dst, int i) {
        return static_cast<const float*>(dst->src[i]->data);
    }
};

// How much of the parameter is added to the gradient, and how much of both goes into the mean.
struct Shares {
    float decay, old, fresh;
};

struct Rates {
    float rate, root_share, kept, eps;
};

template <int lanes>
INLINE void root(typename Lanes<lanes>::Vector& x) {
    for (int i = 0; i < lanes; ++i) x[i] = __builtin_sqrtf(x[i]);
}

// Parameter, gradient and mean to the mean.
struct AdamMean {
    template <int lanes>
    INLINE static void apply(const Arrays& a, const Shares& s) {
        using Vector = typename Lanes<lanes>::Vector;
        for (int64_t i = a.begin; i < a.end; i += lanes) {
            const int64_t count = a.end - i;
            Vector gradient, mean;
            load<lanes>(gradient, a.second + i, count, 0);
            load<lanes>(mean, a.third + i, count, 0);
            if (s.decay != 0) {
                Vector param;
                load<lanes>(param, a.first + i, count, 0);
                gradient += param * s.decay;
            }
            mean += (gradient - mean) * s.fresh;
            store<lanes>(a.out + i, count, mean);
        }
    }
};

// Parameter, gradient and mean of squares to the mean of squares.
struct AdamSquare {
    template <int lanes>
    INLINE static void apply(const Arrays& a, const Shares& s) {
        using Vector = typename Lanes<lanes>::Vector;
        for (int64_t i = a.begin; i < a.end; i += lanes) {
            const int64_t count = a.end - i;
            Vector gradient, square;
            load<lanes>(gradient, a.second + i, count, 0);
            load<lanes>(square, a.third + i, count, 0);
            if (s.decay != 0) {
                Vector param;
                load<lanes>(param, a.first + i, count, 0);
                gradient += param * s.decay;
            }
            square = square * s.old + gradient * gradient * s.fresh;
            store<lanes>(a.out + i, count, square);
        }
    }
};

// Parameter and both means to the parameter.
struct AdamParam {
    template <int lanes>
    INLINE static void apply(const Arrays& a, const Rates& r) {
        using Vector = typename Lanes<lanes>::Vector;
        for (int64_t i = a.begin; i < a.end; i += lanes) {
            const int64_t count = a.end - i;
            Vector param, mean, scale;
            load<lanes>(param, a.first + i, count, 0);
            load<lanes>(mean, a.second + i, count, 0);
            load<lanes>(scale, a.third + i, count, 0);
            root<lanes>(scale);
            param = param * r.kept - mean / (scale / r.root_share + r.eps) * r.rate;
            store<lanes>(a.out + i, count, param);
        }
    }
};

double number(void* data, size_t i) {
    return std::bit_cast<double>(static_cast<const Kernel*>(data)->params[i]);
}

Shares shares(void* data) {
    const double beta = number(data, 0);
    return {static_cast<float>(number(data, 1)), static_cast<float>(beta), static_cast<float>(1 - beta)};
}

void adam_mean(ggml_tensor* dst, int ith, int nth, void* data) {
    for_this_cpu<AdamMean, const Arrays&, const Shares&>()(Arrays(dst, ith, nth), shares(data));
}

void adam_square(ggml_tensor* dst, int ith, int nth, void* data) {
    for_this_cpu<AdamSquare, const Arrays&, const Shares&>()(Arrays(dst, ith, nth), shares(data));
}

void adam_param(ggml_tensor* dst, int ith, int nth, void* data) {
    const auto rate = [dst](int i) { return Arrays::source(dst, i)[0]; };
    const Rates rates = {rate(3), rate(4), rate(5), static_cast<float>(number(data, 0))};
    for_this_cpu<AdamParam, const Arrays&, const Rates&>()(Arrays(dst, ith, nth), rates);
}

}  // namespace

KernelFunction adam_mean_kernel() { return adam_mean; }
KernelFunction adam_square_kernel() { return adam_square; }
KernelFunction adam_param_kernel() { return adam_param; }

}  // namespace native
