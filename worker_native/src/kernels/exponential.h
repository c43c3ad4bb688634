// Exponentials of vectors, the functions that gates are made of, and softmax.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/lanes.h"

namespace native {

// x becomes e^x, to about one unit of the last place: 2^n e^r with |r| <= ln(2) / 2, and e^r by its series.
// Two factors make 2^n, so that results below the normal numbers come out right. NaN stays.
template <int lanes>
INLINE void exponential(typename Lanes<lanes>::Vector& x) {
    using Vector = typename Lanes<lanes>::Vector;
    using Whole = typename Lanes<lanes>::Whole;
    constexpr float lowest = -104, highest = 89;  // beyond them the result is 0 or infinite
    const Vector low = Vector{} + lowest, high = Vector{} + highest;
    x = x < low ? low : x;
    x = x > high ? high : x;
    constexpr float rounder = 12582912;  // 1.5 * 2^23: adding it leaves a whole number in the last bits
    const Vector shifted = x * 1.44269504f + rounder;
    const Vector n = shifted - rounder;
    const Whole exponent = (Whole)shifted - std::bit_cast<int32_t>(rounder);
    const Vector r = (x - n * 0.693145752f) - n * 1.42860677e-6f;  // ln(2) in two parts
    Vector p = r * (1.0f / 5040) + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    const Whole half = exponent >> 1;
    x = p * (Vector)((half + 127) << 23) * (Vector)((exponent - half + 127) << 23);
}

struct Sigmoid {
    template <int lanes>
    INLINE static void apply(typename Lanes<lanes>::Vector& x) {
        x = -x;
        exponential<lanes>(x);
        x = 1.0f / (1.0f + x);
    }
};

// Its Taylor series up to x^15 near 0, where the exponential form would cancel.
struct Tanh {
    template <int lanes>
    INLINE static void apply(typename Lanes<lanes>::Vector& x) {
        using Vector = typename Lanes<lanes>::Vector;
        Vector z = x;
        clear_sign<lanes>(z);
        const Vector square = x * x;
        Vector series = Vector{} - 929569.0f / 638512875;
        for (float c :
             {21844.0f / 6081075, -1382.0f / 155925, 62.0f / 2835, -17.0f / 315, 2.0f / 15, -1.0f / 3})
            series = series * square + c;
        series = (series * square + 1.0f) * x;
        Vector far = z * 2.0f;
        exponential<lanes>(far);
        far = 1.0f - 2.0f / (far + 1.0f);
        take_sign<lanes>(far, x);
        keep_below<lanes>(series, z, 0.5f, far);
        x = series;
    }
};

// A row of softmax or of its logarithm. A NaN reaches all elements through the sum.
template <int lanes, bool is_log>
INLINE void softmax_row(const float* x, int64_t n, float* out) {
    using Vector = typename Lanes<lanes>::Vector;
    Vector highest[4];
    for (Vector& v : highest) v = Vector{} - INFINITY;
    for (int64_t i = 0; i < n; i += 4 * lanes)
        for (int c = 0; c < 4; ++c) {
            Vector v;
            load<lanes>(v, x + i + c * lanes, n - i - c * lanes, -INFINITY);
            highest[c] = v > highest[c] ? v : highest[c];
        }
    float top = -INFINITY;
    for (const Vector& v : highest)
        for (int lane = 0; lane < lanes; ++lane) top = v[lane] > top ? v[lane] : top;
    double total = 0;
    for (int64_t begin = 0; begin < n; begin += 32 * lanes) {
        Vector sum = {};
        for (int64_t i = begin; i < std::min(n, begin + 32 * lanes); i += lanes) {
            Vector e;
            load<lanes>(e, x + i, n - i, -INFINITY);
            e -= top;
            exponential<lanes>(e);
            if constexpr (!is_log) store<lanes>(out + i, n - i, e);
            if (n - i >= lanes)
                sum += e;
            else  // a filler may be NaN here, where the top is infinite
                for (int64_t at = 0; at < n - i; ++at) total += e[at];
        }
        for (int lane = 0; lane < lanes; ++lane) total += sum[lane];
    }
    const float share = static_cast<float>(1 / total), shift = static_cast<float>(std::log(total));
    for (int64_t i = 0; i < n; i += lanes) {
        Vector v;
        load<lanes>(v, (is_log ? x : out) + i, n - i, 0);
        if constexpr (is_log)
            v = v - top - shift;
        else
            v *= share;
        store<lanes>(out + i, n - i, v);
    }
}

}  // namespace native
