// Vectors of floats for kernels that are compiled for several kinds of CPU.
#pragma once

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

}  // namespace native
