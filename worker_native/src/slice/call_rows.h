// The hidden rows that go into one call of llama_decode and come out of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "slice/groups.h"

namespace native {

// Floats of a row: as it is given, as libllama leaves it, and as it is handed on. The first and the last are
// more than the second only where later layers add what a picture has for them. That stands behind the hidden
// row, one part for each layer; a slice hands the parts on that are not its own layers'.
struct RowWidths {
    int64_t in;
    int64_t hidden;
    int64_t out;
};

// The rows of the microbatch, in place where the call has no filler rows and nothing stands behind them. `in`
// is null on the first slice, unless it is given rows; `out` on the last.
class CallRows {
  public:
    CallRows(const Group& group, const float* in, float* out, const RowWidths& widths)
        : group_(group), widths_(widths), in_(in), target_(out), out_(out) {
        const bool has_fillers = num_rows() != group.num_rows;
        if (in) in_ = has_fillers ? gather(in) : in + group.first * widths.in;
        if (!out) return;
        own_out_.resize(has_fillers || widths.out != widths.hidden ? num_rows() * widths.hidden : 0);
        out_ = own_out_.empty() ? out + group.first * widths.out : own_out_.data();
    }
    CallRows(const CallRows&) = delete;
    CallRows& operator=(const CallRows&) = delete;

    int64_t num_rows() const { return std::ssize(group_.source); }
    const float* in() const { return in_; }
    float* out() const { return out_; }

    // To be called when `out` is filled.
    void finish() {
        if (own_out_.empty()) return;
        const int64_t num_further = widths_.out - widths_.hidden;
        for (int64_t row = 0; row < num_rows(); ++row) {
            if (group_.source[row] == kFiller) continue;
            float* target = target_ + group_.source[row] * widths_.out;
            target = std::copy_n(out_ + row * widths_.hidden, widths_.hidden, target);
            if (num_further) std::copy_n(in_ + (row + 1) * widths_.in - num_further, num_further, target);
        }
    }

  private:
    // Filler rows are zeros.
    const float* gather(const float* rows) {
        own_in_.resize(num_rows() * widths_.in);
        for (int64_t row = 0; row < num_rows(); ++row)
            if (group_.source[row] != kFiller)
                std::copy_n(rows + group_.source[row] * widths_.in, widths_.in,
                            own_in_.data() + row * widths_.in);
        return own_in_.data();
    }

    const Group& group_;
    RowWidths widths_;
    const float* in_;
    float* target_;
    float* out_;
    std::vector<float> own_in_, own_out_;
};

}  // namespace native
