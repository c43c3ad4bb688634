// How long each KV sequence is.
#pragma once

#include <cstdint>
#include <vector>

namespace native {

class Slots {
  public:
    explicit Slots(int32_t num_slots) : lengths_(num_slots, 0) {}

    int32_t num_slots() const { return static_cast<int32_t>(lengths_.size()); }
    // `slot` if it is one; `what` names the argument in the error.
    int32_t check(const char* what, int64_t slot) const;
    int32_t length(int32_t slot) const { return lengths_[slot]; }
    void append(int32_t slot) { ++lengths_[slot]; }
    void set_length(int32_t slot, int32_t length) { lengths_[slot] = length; }

  private:
    std::vector<int32_t> lengths_;
};

}  // namespace native
