// Drawing one token of a slot from a row of logits.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/libllama.h"
#include "sampling/filters.h"
#include "sampling/logits.h"
#include "sampling/params.h"
#include "sampling/sampled.h"
#include "sampling/surprise.h"

namespace native {

// Reused from draw to draw.
struct DrawBuffers {
    BlockMaxima maxima;          // the raw logits'
    BlockMaxima changed_maxima;  // if logits are changed
    std::vector<float> changed;  // [V] if logits are changed: by biases, penalties or a mask
    std::vector<int32_t> tokens;
    std::vector<int32_t> history;              // of a slot with rows that are no tokens, those that are
    std::vector<llama_token_data> candidates;  // the tokens that may be drawn
};

// The parameters of one slot, and what its draws remember.
class SlotSampler {
  public:
    // `num_prompt_tokens`: those behind them are drawn.
    SlotSampler(const SamplerParams& params, int32_t vocab_size, int32_t n_ctx, int32_t num_prompt_tokens,
                std::shared_ptr<const Breakers> breakers);

    // Depends on nothing but its arguments, the SamplerParams and, where these ask for Mirostat or
    // adaptive-p, the draws at the positions before. Only what `mask` lets through is drawn; an empty one
    // lets all through. Throws on logits that are no distribution, and if nothing is let through.
    void draw(std::span<const float> logits, const Place& place, TokenMask mask, DrawBuffers& buffers,
              Sampled& sampled);

  private:
    struct Row {
        std::span<const float> logits;
        const BlockMaxima& maxima;
    };

    bool has_bans(int32_t position) const;
    bool bans(int32_t token, int32_t position) const;
    bool may_stop(int32_t position) const;
    // The logits that are drawn from: the raw ones, unless something changes them.
    Row weighed(std::span<const float> logits, const Place& place, TokenMask mask,
                DrawBuffers& buffers) const;
    void fill_candidates(const Row& row, int32_t position, DrawBuffers& buffers) const;
    int32_t pick(const Row& row, const Place& place, DrawBuffers& buffers);
    size_t choose(llama_token_data_array& candidates, const Place& place);

    SamplerParams params_;
    int32_t vocab_size_, num_prompt_tokens_;
    bool is_greedy_, is_adaptive_;
    std::vector<std::pair<int32_t, float>> biases_;  // finite ones
    std::vector<int32_t> banned_, stops_;            // sorted
    Filters filters_;
    DrawMemories memories_;
};

}  // namespace native
