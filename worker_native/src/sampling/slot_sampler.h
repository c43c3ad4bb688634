// Drawing one token of a slot from a row of logits, with libllama's samplers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/libllama.h"
#include "sampling/logits.h"
#include "sampling/params.h"

namespace native {

struct Sampled {
    int32_t token = 0;
    double logprob = 0;                           // natural log, of the raw logits
    std::vector<std::pair<int32_t, double>> top;  // most probable first
    std::string error;                            // why nothing could be drawn; empty if a token was
};

// Reused from draw to draw.
struct DrawBuffers {
    BlockMaxima maxima;            // the raw logits'
    BlockMaxima penalised_maxima;  // if there are penalties, or a mask
    std::vector<float> penalised;  // [V] if there are penalties, or a mask
    std::vector<int32_t> tokens;
    std::vector<llama_token_data> candidates;  // the tokens that may be drawn
};

// The samplers of one slot.
class SlotSampler {
  public:
    SlotSampler(const SamplerParams& params, int32_t vocab_size, int32_t n_ctx);

    // How many recent tokens `draw` wants to see.
    int32_t num_recent() const { return num_recent_; }

    // Depends on nothing but its arguments and the SamplerParams. Only what `mask` lets through is drawn; an
    // empty one lets all through. Throws on logits that are no distribution, and if nothing is let through.
    void draw(std::span<const float> logits, int32_t position, std::span<const int32_t> recent,
              TokenMask mask, DrawBuffers& buffers, Sampled& sampled) const;

  private:
    bool is_greedy() const;
    void penalise(std::span<const int32_t> recent, std::span<float> logits) const;
    int32_t pick(std::span<const float> logits, const BlockMaxima& maxima, int32_t position,
                 DrawBuffers& buffers) const;

    SamplerParams params_;
    int32_t num_recent_;
    SamplerPtr penalties_;  // null if off
    SamplerPtr chain_;      // the samplers behind top_k
};

}  // namespace native
