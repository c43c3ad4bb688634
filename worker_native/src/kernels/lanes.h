// Vectors of floats for kernels that are compiled for several kinds of CPU.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace native {

template <int lanes>
struct Lanes {
    typedef float Vector __attribute__((vector_size(lanes * sizeof(float))));
    typedef int32_t Whole __attribute__((vector_size(lanes * sizeof(int32_t))));
};

#define INLINE [[gnu::always_inline]] inline

// Vectors go by reference: by value they would depend on the kind of CPU. The last one may be a part of one.
template <int lanes>
INLINE void load(typename Lanes<lanes>::Vector& v, const float* x, int64_t count, float filler) {
    v = typename Lanes<lanes>::Vector{} + filler;
    if (count >= lanes)
        std::memcpy(&v, x, sizeof v);
    else
        for (int64_t i = 0; i < count; ++i) v[i] = x[i];
}

template <int lanes>
INLINE void store(float* out, int64_t count, const typename Lanes<lanes>::Vector& v) {
    if (count >= lanes)
        std::memcpy(out, &v, sizeof v);
    else
        for (int64_t i = 0; i < count; ++i) out[i] = v[i];
}

// The functions below look at the bits, because GCC often compiles a comparison of AVX-512 vectors element by
// element.
template <int lanes>
INLINE void clear_sign(typename Lanes<lanes>::Vector& x) {
    using Whole = typename Lanes<lanes>::Whole;
    x = (typename Lanes<lanes>::Vector)((Whole)x & 0x7fffffff);
}

// `x` takes the sign of `from`. `x` must not be negative.
template <int lanes>
INLINE void take_sign(typename Lanes<lanes>::Vector& x, const typename Lanes<lanes>::Vector& from) {
    using Whole = typename Lanes<lanes>::Whole;
    x = (typename Lanes<lanes>::Vector)((Whole)x | ((Whole)from & INT32_MIN));
}

// `x` becomes `other` where `mask` is 0; elsewhere all of its bits are 1.
template <int lanes>
INLINE void keep_where(typename Lanes<lanes>::Vector& x, const typename Lanes<lanes>::Whole& mask,
                       const typename Lanes<lanes>::Vector& other) {
    using Whole = typename Lanes<lanes>::Whole;
    x = (typename Lanes<lanes>::Vector)(((Whole)x & mask) | ((Whole)other & ~mask));
}

// `x` becomes `other` where `size`, which is not negative, reaches the limit or is NaN.
template <int lanes>
INLINE void keep_below(typename Lanes<lanes>::Vector& x, const typename Lanes<lanes>::Vector& size,
                       float limit, const typename Lanes<lanes>::Vector& other) {
    using Whole = typename Lanes<lanes>::Whole;
    keep_where<lanes>(x, ((Whole)size - std::bit_cast<int32_t>(limit)) >> 31, other);
}

// The sum of all lanes, by halves.
template <int lanes>
INLINE float lane_sum(const typename Lanes<lanes>::Vector& x) {
    if constexpr (lanes == 1) {
        return x[0];
    } else {
        typename Lanes<lanes / 2>::Vector low, high;
        std::memcpy(&low, &x, sizeof low);
        std::memcpy(&high, reinterpret_cast<const char*>(&x) + sizeof low, sizeof high);
        return lane_sum<lanes / 2>(low + high);
    }
}

}  // namespace native
