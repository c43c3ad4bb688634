// The state that ggml's kernels leave behind in the processor.
#pragma once

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>
#endif

namespace native {

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
__attribute__((target("avx"))) inline void zero_upper_halves() { _mm256_zeroupper(); }

// Upper halves of vector registers that are not zero slow all SSE code down, ours to a third of its speed:
// each instruction has to keep them. Some of ggml's AVX kernels return without clearing them.
inline void clear_vector_state() {
    if (__builtin_cpu_supports("avx")) zero_upper_halves();
}
#else
inline void clear_vector_state() {}
#endif

}  // namespace native
