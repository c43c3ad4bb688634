// What our side knows of each KV sequence: its length, and on the last slice its tokens.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace native {

class Slots {
  public:
    // `keep_tokens`: only the last slice needs them, for the repetition penalties.
    Slots(int32_t num_slots, bool keep_tokens);

    int32_t num_slots() const { return static_cast<int32_t>(lengths_.size()); }
    int32_t check(const char* what, int64_t slot) const;
    int32_t length(int32_t slot) const { return lengths_[slot]; }
    void append(int32_t slot, int32_t token);
    void truncate(int32_t slot, int32_t position);
    void copy(int32_t source, int32_t target, int32_t end);
    // The last `most` tokens at positions before `end`.
    std::span<const int32_t> recent(int32_t slot, int32_t end, int32_t most) const;

  private:
    bool keep_tokens_;
    std::vector<int32_t> lengths_;
    std::vector<std::vector<int32_t>> tokens_;
};

}  // namespace native
