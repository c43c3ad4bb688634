// The hidden rows that go into one call of llama_decode and come out of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "slice/groups.h"

namespace native {

// Rows of `width` floats, those of the microbatch in place where the call has no filler rows. `hidden_in` is
// null on the first slice, `hidden_out` on the last.
class CallRows {
  public:
    CallRows(const Group& group, const float* hidden_in, float* hidden_out, int64_t width)
        : group_(group), hidden_out_(hidden_out), width_(width) {
        if (hidden_in) in_ = hidden_in + group.first * width;
        if (hidden_out) out_ = hidden_out + group.first * width;
        if (num_rows() == group.num_rows) return;
        if (hidden_in) in_ = gather(hidden_in);
        with_filler_out_.resize(hidden_out ? num_rows() * width : 0);
        if (hidden_out) out_ = with_filler_out_.data();
    }
    CallRows(const CallRows&) = delete;
    CallRows& operator=(const CallRows&) = delete;

    int64_t num_rows() const { return std::ssize(group_.source); }
    const float* in() const { return in_; }
    float* out() const { return out_; }

    // To be called when `out` is filled.
    void finish() {
        for (int64_t row = 0; row < num_rows() && !with_filler_out_.empty(); ++row)
            if (group_.source[row] != kFiller)
                std::copy_n(out_ + row * width_, width_, hidden_out_ + group_.source[row] * width_);
    }

  private:
    // Filler rows are zeros.
    const float* gather(const float* hidden) {
        with_filler_in_.resize(num_rows() * width_);
        for (int64_t row = 0; row < num_rows(); ++row)
            if (group_.source[row] != kFiller)
                std::copy_n(hidden + group_.source[row] * width_, width_,
                            with_filler_in_.data() + row * width_);
        return with_filler_in_.data();
    }

    const Group& group_;
    float* hidden_out_;
    int64_t width_;
    const float* in_ = nullptr;
    float* out_ = nullptr;
    std::vector<float> with_filler_in_, with_filler_out_;
};

}  // namespace native
