// Exponentials of vectors, and the functions that gates are made of.
#pragma once

#include <bit>

#include "lanes.h"

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

// Its series near 0, where the exponential form would cancel.
struct Tanh {
    template <int lanes>
    INLINE static void apply(typename Lanes<lanes>::Vector& x) {
        using Vector = typename Lanes<lanes>::Vector;
        Vector z = x;
        clear_sign<lanes>(z);
        const Vector square = x * x;
        Vector series = Vector{} - 0.00145583439f;
        for (float c :
             {0.00359212803f, -0.00886323553f, 0.0218694885f, -0.0539682540f, 0.133333333f, -0.333333333f})
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

}  // namespace native
