// The arrays behind one llama_batch, and the rows of a microbatch that go into them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/libllama.h"
#include "slice/groups.h"
#include "slice/microbatch.h"

namespace native {

class Call {
  public:
    explicit Call(int32_t num_rows)
        : tokens_(num_rows),
          positions_(num_rows),
          slots_(num_rows),
          slots_per_row_(num_rows, 1),
          slot_of_row_(num_rows),
          outputs_(num_rows) {}

    // A filler row is any token behind the last one of its slot.
    void set(int32_t row, const Microbatch& batch, int32_t source, int32_t slot, int32_t position,
             bool is_output, bool has_tokens) {
        tokens_[row] = source == kFiller || !has_tokens ? 0 : batch.tokens[source];
        positions_[row] = position;
        slots_[row] = slot;
        slot_of_row_[row] = &slots_[row];
        outputs_[row] = is_output;
    }

    // `embeddings`: rows that stand for tokens, borrowed; null where the tokens are looked up.
    llama_batch batch(const float* embeddings) {
        llama_batch batch{};
        batch.n_tokens = static_cast<int32_t>(slots_.size());
        batch.token = embeddings ? nullptr : tokens_.data();
        batch.embd = const_cast<float*>(embeddings);  // libllama only reads it
        batch.pos = positions_.data();
        batch.n_seq_id = slots_per_row_.data();
        batch.seq_id = slot_of_row_.data();
        batch.logits = outputs_.data();
        return batch;
    }

    const std::vector<llama_pos>& positions() const { return positions_; }

  private:
    std::vector<int32_t> tokens_;
    std::vector<llama_pos> positions_;
    std::vector<int32_t> slots_, slots_per_row_;
    std::vector<int32_t*> slot_of_row_;
    std::vector<int8_t> outputs_;
};

}  // namespace native
