// How a slot's tokens are drawn.
#pragma once

#include <cstdint>

namespace native {

struct SamplerParams {
    double temperature = 0;  // 0: the largest logit, the first one of equals
    int64_t top_k = 0;       // 0: off
    double top_p = 1;        // 1: off
    double min_p = 0;        // 0: off
    uint64_t seed = 0;
    double repeat_penalty = 1;   // 1: off
    int64_t repeat_last_n = 64;  // 0: no penalties; -1: the whole slot
    double presence_penalty = 0;
    double frequency_penalty = 0;
    int64_t logprobs = 0;  // how many of the most probable tokens to report

    // Throws std::invalid_argument if a parameter is outside of its range.
    void check() const;
};

}  // namespace native
