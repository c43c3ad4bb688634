// The arrays behind one llama_batch, and the rows of a microbatch that go into them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "groups.h"
#include "libllama.h"
#include "microbatch.h"

namespace native {

class Call {
  public:
    Call(int32_t num_rows, bool takes_hidden, int32_t hidden_width)
        : hidden_width_(hidden_width),
          tokens_(takes_hidden ? 0 : num_rows),
          hidden_(takes_hidden ? size_t(num_rows) * hidden_width : 0),
          positions_(num_rows),
          slots_(num_rows),
          slots_per_row_(num_rows, 1),
          slot_of_row_(num_rows),
          outputs_(num_rows) {}

    // A filler row is any token (or hidden row) behind the last one of its slot.
    void set(int32_t row, const Microbatch& batch, int32_t source, int32_t slot, int32_t position,
             bool is_output) {
        const bool is_filler = source == kFiller;
        positions_[row] = position;
        slots_[row] = slot;
        slot_of_row_[row] = &slots_[row];
        outputs_[row] = is_output;
        if (is_filler) return;  // zeros
        if (hidden_.empty())
            tokens_[row] = batch.tokens[source];
        else
            std::copy_n(batch.hidden + int64_t(source) * hidden_width_, hidden_width_,
                        hidden_.data() + int64_t(row) * hidden_width_);
    }

    // M-RoPE models take four positions for an embedded row; text has [p, p, p, 0]. libllama wants them by
    // section.
    void use_sections() {
        const auto num_rows = std::ssize(positions_);
        std::vector<llama_pos> sections(num_rows * 4, 0);
        for (int section = 0; section < 3; ++section)
            std::copy(positions_.begin(), positions_.end(), sections.begin() + section * num_rows);
        positions_ = std::move(sections);
    }

    llama_batch batch() {
        llama_batch batch{};
        batch.n_tokens = static_cast<int32_t>(slots_.size());
        batch.token = hidden_.empty() ? tokens_.data() : nullptr;
        batch.embd = hidden_.empty() ? nullptr : hidden_.data();
        batch.pos = positions_.data();
        batch.n_seq_id = slots_per_row_.data();
        batch.seq_id = slot_of_row_.data();
        batch.logits = outputs_.data();
        return batch;
    }

  private:
    int64_t hidden_width_;
    std::vector<int32_t> tokens_;
    std::vector<float> hidden_;
    std::vector<llama_pos> positions_;
    std::vector<int32_t> slots_, slots_per_row_;
    std::vector<int32_t*> slot_of_row_;
    std::vector<int8_t> outputs_;
};

}  // namespace native
