// Kernels whose time goes into exponentials: softmax and its logarithm along rows, and functions of single
// elements, a vector at a time.
#include <algorithm>

#include "kernels/cpu_kinds.h"
#include "kernels/exponential.h"
#include "kernels/reduce.h"

namespace native {
namespace {

// The functions of single elements; each changes the vector that it is given.

struct Exp {
    template <int lanes>
    INLINE static void apply(typename Lanes<lanes>::Vector& x) {
        exponential<lanes>(x);
    }
};

// x >= 0 becomes erfc(x) within about two units of the last place: a Chebyshev fit in t = 1 / (1 + x / 2)
// (Numerical Recipes, section 6.2).
template <int lanes>
INLINE void complement(typename Lanes<lanes>::Vector& x) {
    using Vector = typename Lanes<lanes>::Vector;
    const Vector t = 1.0f / (1.0f + 0.5f * x);
    Vector fit = Vector{} + 0.17087277f;
    for (float c : {-0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f, -0.18628806f, 0.09678418f,
                    0.37409196f, 1.00002368f, -1.26551223f})
        fit = fit * t + c;
    x = fit - x * x;
    exponential<lanes>(x);
    x *= t;
}

// The tail is erfc(z) / 2 with z = |x| / sqrt(2): e^(-z^2) times a polynomial in t = 1 / (1 + z / 2). It is a
// minimax fit of ours for |x| up to 12, with a relative error below 9.1e-7 there and below 4e-6 up to 13.2,
// where the power reaches its bound. Powers that are never positive need neither a second factor nor a bound
// above; the polynomial for e^r, too, is a fit of ours, to a relative error of 1.8e-8 for |r| up to ln(2)
// / 2.
struct Gelu {
    template <int lanes>
    INLINE static void apply(typename Lanes<lanes>::Vector& x) {
        using Vector = typename Lanes<lanes>::Vector;
        using Whole = typename Lanes<lanes>::Whole;
        Vector t = x;
        clear_sign<lanes>(t);
        t = 1.0f / (1.0f + 0.353553391f * t);
        Vector fit = t * 0.0454437919f - 0.183121666f;
        for (float c : {0.201317176f, 0.0141509855f, 0.142573521f, 0.138444319f, 0.141191423f})
            fit = fit * t + c;
        const Vector low = Vector{} - 87.0f;
        Vector power = x * x * -0.5f;
        power = power < low ? low : power;
        constexpr float rounder = 12582912;  // 1.5 * 2^23: a whole number is left in the last bits
        const Vector shifted = power * 1.44269504f + rounder, n = shifted - rounder;
        const Vector r = (power - n * 0.693145752f) - n * 1.42860677e-6f;
        Vector p = r * 0.00138366921f + 0.0083748038f;
        for (float c : {0.0416682288f, 0.166664198f, 0.499999911f, 1.0f, 1.0f}) p = p * r + c;
        Vector tail = (Vector)((Whole)p + ((Whole)shifted << 23)) * (fit * t);
        keep_where<lanes>(tail, (Whole)x >> 31, 1.0f - tail);
        x *= tail;
    }
};

// Its Taylor series up to x^15 near 0, where the difference from 1 would cancel.
struct Erf {
    template <int lanes>
    INLINE static void apply(typename Lanes<lanes>::Vector& x) {
        using Vector = typename Lanes<lanes>::Vector;
        Vector z = x;
        clear_sign<lanes>(z);
        const Vector square = x * x;
        Vector series = Vector{} - 1.0f / 75600;
        for (float c : {1.0f / 9360, -1.0f / 1320, 1.0f / 216, -1.0f / 42, 0.1f, -1.0f / 3, 1.0f})
            series = series * square + c;
        series *= x * 1.12837917f;
        Vector far = z;
        complement<lanes>(far);
        far = 1.0f - far;
        take_sign<lanes>(far, x);
        keep_below<lanes>(series, z, 0.75f, far);
        x = series;
    }
};

// Each is a work of `for_this_cpu`, from `n` elements to as many.
template <class Function>
struct Elements {
    template <int lanes>
    INLINE static void apply(const float* x, int64_t n, float* out) {
        for (int64_t i = 0; i < n; i += lanes) {
            typename Lanes<lanes>::Vector v;
            load<lanes>(v, x + i, n - i, 0);
            Function::template apply<lanes>(v);
            store<lanes>(out + i, n - i, v);
        }
    }
};

template <bool is_log>
struct Softmax {
    template <int lanes>
    INLINE static void apply(const float* x, int64_t n, float* out) {
        softmax_row<lanes, is_log>(x, n, out);
    }
};

template <class Work>
auto function() {
    return for_this_cpu<Work, const float*, int64_t, float*>();
}

template <class Work>
void each(ggml_tensor* dst, int ith, int nth, void*) {
    each_row<float, float>(dst, ith, nth, function<Work>());
}

// Elements do not care where a row ends.
template <class Function>
void elements(ggml_tensor* dst, int ith, int nth, void*) {
    const Range range(ggml_nelements(dst), ith, nth);
    function<Elements<Function>>()(static_cast<const float*>(dst->src[0]->data) + range.begin,
                                   range.end - range.begin, static_cast<float*>(dst->data) + range.begin);
}

const KernelEntry entries[] = {
    {"softmax", 1, GGML_TYPE_F32, GGML_TYPE_F32, each<Softmax<false>>},
    {"log_softmax", 1, GGML_TYPE_F32, GGML_TYPE_F32, each<Softmax<true>>},
    {"exp", 1, GGML_TYPE_F32, GGML_TYPE_F32, elements<Exp>},
    {"sigmoid", 1, GGML_TYPE_F32, GGML_TYPE_F32, elements<Sigmoid>},
    {"tanh", 1, GGML_TYPE_F32, GGML_TYPE_F32, elements<Tanh>},
    {"gelu", 1, GGML_TYPE_F32, GGML_TYPE_F32, elements<Gelu>},
    {"erf", 1, GGML_TYPE_F32, GGML_TYPE_F32, elements<Erf>},
};

}  // namespace

std::span<const KernelEntry> exp_kernels() { return entries; }

}  // namespace native
