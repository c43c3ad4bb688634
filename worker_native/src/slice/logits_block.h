// The logits that one forward left behind.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/finite.h"

namespace native {

// Room for rows of logits, filled one after the other. Whoever looks at them shares the block; the slice
// takes another one for the next forward then.
class LogitsBlock {
  public:
    LogitsBlock(int64_t most_rows, int64_t width)
        : most_rows_(most_rows),
          width_(width),
          values_(std::make_unique_for_overwrite<float[]>(static_cast<size_t>(most_rows * width))) {}

    int64_t most_rows() const { return most_rows_; }
    int64_t num_rows() const { return num_rows_; }
    int64_t width() const { return width_; }
    const float* values() const { return values_.get(); }
    std::span<const float> row(int64_t index) const {
        return {values_.get() + index * width_, static_cast<size_t>(width_)};
    }

    void clear() { num_rows_ = 0; }
    // Adds a copy of the row; true if all of its values are finite. There must be room for it.
    bool add(const float* row) {
        return copy_finite({row, static_cast<size_t>(width_)}, values_.get() + num_rows_++ * width_);
    }

  private:
    int64_t most_rows_, width_, num_rows_ = 0;
    std::unique_ptr<float[]> values_;
};

}  // namespace native
