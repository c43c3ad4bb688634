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

    // Calls visit(name, value, low, high) for each parameter, whose range is [low, high]: the one list of
    // them, by which they are checked and Python gives them. `Params` is SamplerParams, const or not.
    template <typename Params, typename Visit>
    static void each(Params& params, Visit visit) {
        constexpr int64_t many = INT32_MAX;
        visit("temperature", params.temperature, 0.0, 100.0);
        visit("top_k", params.top_k, int64_t{0}, many);
        visit("top_p", params.top_p, 0.0, 1.0);
        visit("min_p", params.min_p, 0.0, 1.0);
        visit("seed", params.seed, uint64_t{0}, UINT64_MAX);
        visit("repeat_penalty", params.repeat_penalty, 1e-3, 100.0);
        visit("repeat_last_n", params.repeat_last_n, int64_t{-1}, many);
        visit("presence_penalty", params.presence_penalty, -100.0, 100.0);
        visit("frequency_penalty", params.frequency_penalty, -100.0, 100.0);
        visit("logprobs", params.logprobs, int64_t{0}, many);
    }

    // Throws std::invalid_argument if a parameter is outside of its range.
    void check() const;
};

}  // namespace native
