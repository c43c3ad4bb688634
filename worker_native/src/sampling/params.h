// How a slot's tokens are drawn.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace native {

struct SamplerParams {
    double temperature = 0;      // 0: the largest logit, the first one of equals
    int64_t top_k = 0;           // 0: off
    double top_p = 1;            // 1: off
    double min_p = 0;            // 0: off
    double typical_p = 1;        // 1: off
    double top_n_sigma = -1;     // 0 or less: off
    double xtc_probability = 0;  // 0: off
    double xtc_threshold = 0.1;  // above 0.5: off
    double dynatemp_range = 0;   // 0: off
    double dynatemp_exponent = 1;
    uint64_t seed = 0;
    double repeat_penalty = 1;   // 1: off
    int64_t repeat_last_n = 64;  // 0: no penalties; -1: the whole slot
    double presence_penalty = 0;
    double frequency_penalty = 0;
    double dry_multiplier = 0;  // 0: off
    double dry_base = 1.75;     // below 1: off
    int64_t dry_allowed_length = 2;
    int64_t dry_penalty_last_n = -1;  // 0: off; -1: the whole slot
    int64_t mirostat = 0;             // 1 or 2: in place of all that cuts tokens off
    double mirostat_tau = 5;
    double mirostat_eta = 0.1;
    double adaptive_target = -1;  // below 0: off
    double adaptive_decay = 0.9;
    int64_t min_tokens = 0;  // so many are drawn before one of stop_token_ids may be
    int64_t logprobs = 0;    // how many of the most probable tokens to report
    std::vector<std::string> dry_sequence_breakers;
    std::vector<std::string> samplers;                   // in order; none: the default order
    std::vector<std::pair<int64_t, double>> logit_bias;  // (token, what is added); -inf: never drawn
    std::vector<int64_t> stop_token_ids;

    // Calls visit(name, value, low, high) for each number, whose range is [low, high]: the one list of
    // them, by which they are checked and Python gives them. `Params` is SamplerParams, const or not.
    template <typename Params, typename Visit>
    static void each(Params& params, Visit visit) {
        constexpr int64_t many = INT32_MAX;
        visit("temperature", params.temperature, 0.0, 100.0);
        visit("top_k", params.top_k, int64_t{0}, many);
        visit("top_p", params.top_p, 0.0, 1.0);
        visit("min_p", params.min_p, 0.0, 1.0);
        visit("typical_p", params.typical_p, 0.0, 1.0);
        visit("top_n_sigma", params.top_n_sigma, -1.0, 100.0);
        visit("xtc_probability", params.xtc_probability, 0.0, 1.0);
        visit("xtc_threshold", params.xtc_threshold, 0.0, 1.0);
        visit("dynatemp_range", params.dynatemp_range, 0.0, 100.0);
        visit("dynatemp_exponent", params.dynatemp_exponent, 0.0, 100.0);
        visit("seed", params.seed, uint64_t{0}, UINT64_MAX);
        visit("repeat_penalty", params.repeat_penalty, 1e-3, 100.0);
        visit("repeat_last_n", params.repeat_last_n, int64_t{-1}, many);
        visit("presence_penalty", params.presence_penalty, -100.0, 100.0);
        visit("frequency_penalty", params.frequency_penalty, -100.0, 100.0);
        visit("dry_multiplier", params.dry_multiplier, 0.0, 100.0);
        visit("dry_base", params.dry_base, 0.0, 100.0);
        visit("dry_allowed_length", params.dry_allowed_length, int64_t{0}, many);
        visit("dry_penalty_last_n", params.dry_penalty_last_n, int64_t{-1}, many);
        visit("mirostat", params.mirostat, int64_t{0}, int64_t{2});
        visit("mirostat_tau", params.mirostat_tau, 0.0, 100.0);
        visit("mirostat_eta", params.mirostat_eta, 0.0, 10.0);
        visit("adaptive_target", params.adaptive_target, -1.0, 1.0);
        visit("adaptive_decay", params.adaptive_decay, 0.0, 1.0);
        visit("min_tokens", params.min_tokens, int64_t{0}, many);
        visit("logprobs", params.logprobs, int64_t{0}, many);
    }

    // Calls visit(name, list) for the others.
    template <typename Params, typename Visit>
    static void each_list(Params& params, Visit visit) {
        visit("dry_sequence_breakers", params.dry_sequence_breakers);
        visit("samplers", params.samplers);
        visit("logit_bias", params.logit_bias);
        visit("stop_token_ids", params.stop_token_ids);
    }

    // Throws std::invalid_argument if a parameter is outside of its range, or names what is not there.
    void check(int32_t vocab_size) const;
    void check() const;
};

}  // namespace native
