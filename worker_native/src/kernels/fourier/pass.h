// One factor of a transform: butterflies of `radix` elements and the turns of their results.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/fourier/transform.h"

namespace native {

// The iterations of the next loop do not depend on each other.
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#define UNROLLED _Pragma("unroll")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#define UNROLLED _Pragma("GCC unroll 16")
#endif

// The transform of `radix` elements in place.
template <int radix, class T>
[[gnu::always_inline]] inline void butterfly(T* re, T* im) {
    if constexpr (radix == 2) {
        const T r = re[0] - re[1], i = im[0] - im[1];
        re[0] += re[1];
        im[0] += im[1];
        re[1] = r;
        im[1] = i;
    } else if constexpr (radix == 3) {
        const T c = T(-0.5), s = T(0.86602540378443864676);
        const T sum_r = re[1] + re[2], sum_i = im[1] + im[2];
        const T r = re[0] + c * sum_r, i = im[0] + c * sum_i;
        const T turned_r = s * (im[1] - im[2]), turned_i = s * (re[2] - re[1]);
        re[0] += sum_r;
        im[0] += sum_i;
        re[1] = r + turned_r;
        im[1] = i + turned_i;
        re[2] = r - turned_r;
        im[2] = i - turned_i;
    } else if constexpr (radix == 4) {
        const T even_r = re[0] + re[2], even_i = im[0] + im[2];
        const T gap_r = re[0] - re[2], gap_i = im[0] - im[2];
        const T odd_r = re[1] + re[3], odd_i = im[1] + im[3];
        const T turned_r = im[1] - im[3], turned_i = re[3] - re[1];
        re[0] = even_r + odd_r;
        im[0] = even_i + odd_i;
        re[1] = gap_r + turned_r;
        im[1] = gap_i + turned_i;
        re[2] = even_r - odd_r;
        im[2] = even_i - odd_i;
        re[3] = gap_r - turned_r;
        im[3] = gap_i - turned_i;
    } else if constexpr (radix == 5) {
        const T c1 = T(0.30901699437494742410), c2 = T(-0.80901699437494742410);
        const T s1 = T(0.95105651629515357212), s2 = T(0.58778525229247312917);
        const T outer_r = re[1] + re[4], outer_i = im[1] + im[4];
        const T inner_r = re[2] + re[3], inner_i = im[2] + im[3];
        const T far_r = re[1] - re[4], far_i = im[1] - im[4];
        const T near_r = re[2] - re[3], near_i = im[2] - im[3];
        const T r1 = re[0] + c1 * outer_r + c2 * inner_r, i1 = im[0] + c1 * outer_i + c2 * inner_i;
        const T r2 = re[0] + c2 * outer_r + c1 * inner_r, i2 = im[0] + c2 * outer_i + c1 * inner_i;
        const T turn1_r = s1 * far_i + s2 * near_i, turn1_i = -(s1 * far_r + s2 * near_r);
        const T turn2_r = s2 * far_i - s1 * near_i, turn2_i = s1 * near_r - s2 * far_r;
        re[0] += outer_r + inner_r;
        im[0] += outer_i + inner_i;
        re[1] = r1 + turn1_r;
        im[1] = i1 + turn1_i;
        re[2] = r2 + turn2_r;
        im[2] = i2 + turn2_i;
        re[3] = r2 - turn2_r;
        im[3] = i2 - turn2_i;
        re[4] = r1 - turn1_r;
        im[4] = i1 - turn1_i;
    } else {
        static_assert(radix == 8);
        const T half = T(0.70710678118654752440);
        T even_r[4] = {re[0], re[2], re[4], re[6]}, even_i[4] = {im[0], im[2], im[4], im[6]};
        T odd_r[4] = {re[1], re[3], re[5], re[7]}, odd_i[4] = {im[1], im[3], im[5], im[7]};
        butterfly<4>(even_r, even_i);
        butterfly<4>(odd_r, odd_i);
        const T r1 = half * (odd_r[1] + odd_i[1]), i1 = half * (odd_i[1] - odd_r[1]);
        const T r3 = half * (odd_i[3] - odd_r[3]), i3 = -half * (odd_i[3] + odd_r[3]);
        const T turned_r[4] = {odd_r[0], r1, odd_i[2], r3}, turned_i[4] = {odd_i[0], i1, -odd_r[2], i3};
        UNROLLED
        for (int k = 0; k < 4; ++k) {
            re[k] = even_r[k] + turned_r[k];
            im[k] = even_i[k] + turned_i[k];
            re[k + 4] = even_r[k] - turned_r[k];
            im[k + 4] = even_i[k] - turned_i[k];
        }
    }
}

// Elements q + width * (p + rest * k), k < radix, become elements q + width * (radix * p + k), each turned by
// p * k parts of radix * rest. `fixed` is the width where it is known, else 0.
template <int radix, int64_t fixed, bool turns, class T>
[[gnu::always_inline]] inline void pass(Split<T> in, Split<T> out, const T* cos, const T* sin, int64_t rest,
                                        int64_t any_width) {
    const int64_t width = fixed != 0 ? fixed : any_width;
    INDEPENDENT
    for (int64_t p = 0; p < rest; ++p) {
        T turn_r[radix], turn_i[radix];
        UNROLLED
        for (int k = 1; turns && k < radix; ++k) {
            turn_r[k] = cos[(k - 1) * rest + p];
            turn_i[k] = sin[(k - 1) * rest + p];
        }
        INDEPENDENT
        for (int64_t q = 0; q < width; ++q) {
            T re[radix], im[radix];
            UNROLLED
            for (int k = 0; k < radix; ++k) {
                re[k] = in.re[q + width * (p + rest * k)];
                im[k] = in.im[q + width * (p + rest * k)];
            }
            butterfly<radix>(re, im);
            UNROLLED
            for (int k = 0; k < radix; ++k) {
                const int64_t to = q + width * (radix * p + k);
                const bool is_turned = turns && k > 0;
                out.re[to] = is_turned ? re[k] * turn_r[k] - im[k] * turn_i[k] : re[k];
                out.im[to] = is_turned ? re[k] * turn_i[k] + im[k] * turn_r[k] : im[k];
            }
        }
    }
}

// The largest radix without a formula of its own. Above it a convolution is faster.
constexpr int64_t max_radix = 61;

// The same for any odd radix, some neighbouring elements at a time.
template <class T>
[[gnu::always_inline]] inline void odd_pass(Split<T> in, Split<T> out, const T* cos, const T* sin,
                                            const T* root_cos, const T* root_sin, int64_t radix, int64_t rest,
                                            int64_t width) {
    constexpr int64_t lanes = 16, most = max_radix / 2;
    const int64_t half = radix / 2, count = width * rest;
    alignas(64) T sum_r[most][lanes], sum_i[most][lanes], gap_r[most][lanes], gap_i[most][lanes];
    alignas(64) T first_r[lanes], first_i[lanes], u_r[lanes], u_i[lanes], v_r[lanes], v_i[lanes];
    const auto put = [&](int64_t at, int64_t n, int64_t k, T side) {
        for (int64_t lane = 0; lane < n; ++lane) {
            const int64_t p = (at + lane) / width, to = (at + lane) % width + width * (radix * p + k);
            const T r = u_r[lane] + side * v_i[lane], i = u_i[lane] - side * v_r[lane];
            const T turn_r = k > 0 && rest > 1 ? cos[(k - 1) * rest + p] : T(1);
            const T turn_i = k > 0 && rest > 1 ? sin[(k - 1) * rest + p] : T(0);
            out.re[to] = r * turn_r - i * turn_i;
            out.im[to] = r * turn_i + i * turn_r;
        }
    };
    for (int64_t at = 0; at < count; at += lanes) {
        const int64_t n = std::min(lanes, count - at);
        for (int64_t lane = 0; lane < lanes; ++lane) {
            first_r[lane] = lane < n ? in.re[at + lane] : T(0);
            first_i[lane] = lane < n ? in.im[at + lane] : T(0);
            u_r[lane] = first_r[lane];
            u_i[lane] = first_i[lane];
            v_r[lane] = v_i[lane] = 0;
        }
        for (int64_t j = 1; j <= half; ++j) {
            const int64_t low = at + count * j, high = at + count * (radix - j);
            for (int64_t lane = 0; lane < n; ++lane) {
                sum_r[j - 1][lane] = in.re[low + lane] + in.re[high + lane];
                sum_i[j - 1][lane] = in.im[low + lane] + in.im[high + lane];
                gap_r[j - 1][lane] = in.re[low + lane] - in.re[high + lane];
                gap_i[j - 1][lane] = in.im[low + lane] - in.im[high + lane];
                u_r[lane] += sum_r[j - 1][lane];
                u_i[lane] += sum_i[j - 1][lane];
            }
            for (int64_t lane = n; lane < lanes; ++lane)
                sum_r[j - 1][lane] = sum_i[j - 1][lane] = gap_r[j - 1][lane] = gap_i[j - 1][lane] = 0;
        }
        put(at, n, 0, 0);
        for (int64_t k = 1; k <= half; ++k) {
            for (int64_t lane = 0; lane < lanes; ++lane) {
                u_r[lane] = first_r[lane];
                u_i[lane] = first_i[lane];
                v_r[lane] = v_i[lane] = 0;
            }
            for (int64_t j = 1, place = k; j <= half; ++j, place = (place + k) % radix) {
                const T c = root_cos[place], s = -root_sin[place];
                INDEPENDENT
                for (int64_t lane = 0; lane < lanes; ++lane) {
                    u_r[lane] += c * sum_r[j - 1][lane];
                    u_i[lane] += c * sum_i[j - 1][lane];
                    v_r[lane] += s * gap_r[j - 1][lane];
                    v_i[lane] += s * gap_i[j - 1][lane];
                }
            }
            put(at, n, k, T(1));
            put(at, n, radix - k, T(-1));
        }
    }
}

}  // namespace native
