// The sampler of a last stage: parameters and tokens of each slot, and draws from rows of logits. It knows
// nothing of how those are made.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/one_at_a_time.h"
#include "sampling/slot_sampler.h"
#include "sampling/slot_tokens.h"

namespace native {

// Rows of logits that somebody else owns: [num_rows, vocab_size].
struct LogitsRows {
    const float* values;
    int64_t num_rows;
};

class Sampler {
  public:
    // A slot holds at most `n_ctx` tokens.
    Sampler(int64_t vocab_size, int64_t num_slots, int64_t n_ctx);

    int32_t vocab_size() const { return vocab_size_; }
    int32_t num_slots() const { return static_cast<int32_t>(samplers_.size()); }

    // What each token adds to a text, for the texts over which no repetition goes.
    void name_tokens(std::vector<std::string> pieces);
    // Lasts until `prepare_slot` empties the slot or copies into it. The slot's tokens behind
    // `num_prompt_tokens` are drawn.
    void set(int64_t slot, const SamplerParams& params, int64_t num_prompt_tokens);
    // The tokens of computed rows, at their positions in their slots: the penalties look at them.
    void keep(std::span<const int32_t> tokens, std::span<const int32_t> positions,
              std::span<const int32_t> slots);
    // Makes `slot` hold the first `length` tokens that `source` holds.
    void prepare_slot(int64_t slot, int64_t source, int64_t length);

    // One token for each place in the lists: from that row of the logits, as what follows the token at that
    // position of that slot. A slot and a row may occur several times. A row that allows no
    // draw has its reason in place of a token (`Sampled::error`). `masks`: one for each place, or none at
    // all; an empty one lets all tokens through.
    std::vector<Sampled> sample(LogitsRows logits, const std::vector<int64_t>& rows,
                                const std::vector<int64_t>& slots, const std::vector<int64_t>& positions,
                                const std::vector<TokenMask>& masks);

    // What the model thought of tokens that are given: in each place of the lists, of that token by that row.
    // `top` has `num_top` tokens.
    std::vector<Sampled> score(LogitsRows logits, const std::vector<int64_t>& rows,
                               const std::vector<int64_t>& tokens, int64_t num_top);

    OneAtATime& door() { return door_; }

  private:
    std::shared_ptr<const Breakers> breakers_for(const std::vector<std::string>& texts);
    std::span<const float> row_of(LogitsRows logits, int64_t row) const;
    void check_request(LogitsRows logits, int64_t row, int64_t slot, int64_t position) const;

    int32_t vocab_size_, n_ctx_;
    std::vector<std::optional<SlotSampler>> samplers_;
    SlotTokens tokens_;
    std::shared_ptr<const Pieces> pieces_;
    std::shared_ptr<const Breakers> breakers_;  // those that were asked for last
    DrawBuffers buffers_;
    OneAtATime door_{"sampler"};
};

}  // namespace native
