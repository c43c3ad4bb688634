// Drawing one token from a row of logits with libllama's samplers.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "libllama.h"

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

    void check() const;
};

struct Sampled {
    int32_t row = 0;
    int32_t slot = 0;
    int32_t token = 0;
    double logprob = 0;                           // natural log, of the raw logits
    std::vector<std::pair<int32_t, double>> top;  // most probable first
};

// Buffers of one vocabulary's width, reused from draw to draw.
using Candidates = std::vector<llama_token_data>;

// The samplers of one slot.
class SlotSampler {
  public:
    SlotSampler(const SamplerParams& params, int32_t vocab_size, int32_t n_ctx);

    // How many recent tokens `draw` wants to see.
    int32_t num_recent() const { return num_recent_; }

    // Depends on nothing but its arguments and the SamplerParams. Throws on logits that are no distribution.
    void draw(std::span<const float> logits, int32_t position, std::span<const int32_t> recent,
              Candidates& candidates, Sampled& sampled) const;

  private:
    bool is_greedy() const;
    void apply_penalties(std::span<const int32_t> recent, Candidates& candidates) const;
    int32_t pick(int32_t position, Candidates& candidates) const;

    SamplerParams params_;
    int32_t num_recent_;
    SamplerPtr penalties_;  // null if off
    SamplerPtr chain_;
};

}  // namespace native
