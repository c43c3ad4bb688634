// Random numbers that depend on nothing but the request's seed and the position.
#pragma once

#include <llama.h>

#include <cstdint>

namespace native {

// The splitmix64 finaliser (Steele, Lea and Flood 2014): every input bit reaches every output bit.
inline uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

inline uint32_t draw_seed(uint64_t seed, int32_t position) {
    const auto mixed = static_cast<uint32_t>(mix(seed ^ mix(static_cast<uint64_t>(position))) >> 32);
    return mixed == LLAMA_DEFAULT_SEED ? 0 : mixed;  // libllama takes that one value for "seed me at random"
}

// For a second, independent choice at the same position.
inline uint32_t second_draw_seed(uint64_t seed, int32_t position) { return draw_seed(~mix(seed), position); }

}  // namespace native
