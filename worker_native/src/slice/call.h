// The arrays behind one llama_batch, and the rows of a microbatch that go into them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/libllama.h"
#include "slice/groups.h"
#include "slice/microbatch.h"

namespace native {

// Where a row is in its text. Lines and columns count only for rows of pictures, in models whose positions
// have sections.
struct Position {
    int32_t time;
    int32_t line;
    int32_t column;
};

inline constexpr int32_t kSections = 4;  // GGML_MROPE_SECTIONS; nothing uses the last one

class Call {
  public:
    // `num_sections`: of the positions: 1 or kSections.
    explicit Call(int32_t num_rows, int32_t num_sections = 1)
        : tokens_(num_rows),
          positions_(num_rows * num_sections),
          slots_(num_rows),
          slots_per_row_(num_rows, 1),
          slot_of_row_(num_rows),
          outputs_(num_rows) {}

    // A filler row is any token behind the last one of its slot.
    void set(int32_t row, const Microbatch& batch, int32_t source, int32_t slot, const Position& position,
             bool is_output, bool has_tokens) {
        tokens_[row] = source == kFiller || !has_tokens ? 0 : batch.tokens[source];
        set_position(row, position);
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
    void set_position(int32_t row, const Position& position) {
        positions_[row] = position.time;
        if (positions_.size() == slots_.size()) return;
        positions_[slots_.size() + row] = position.line;
        positions_[2 * slots_.size() + row] = position.column;
    }

    std::vector<int32_t> tokens_;
    std::vector<llama_pos> positions_;  // one section behind the other
    std::vector<int32_t> slots_, slots_per_row_;
    std::vector<int32_t*> slot_of_row_;
    std::vector<int8_t> outputs_;
};

}  // namespace native
