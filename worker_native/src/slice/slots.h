// How long each KV sequence is, and where its rows are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace native {

// A picture in a slot of a model whose positions have sections (M-RoPE): its rows, line by line. All of them
// are at one place in time, and apart by lines and columns; what follows goes on behind the longer side.
struct Picture {
    int32_t first = 0;  // its first row in the slot
    int32_t width = 0;  // columns
    int32_t height = 0;

    int32_t end() const { return first + width * height; }
    int32_t num_positions() const { return std::max(width, height); }
    bool operator==(const Picture&) const = default;
};

class Slots {
  public:
    explicit Slots(int32_t num_slots) : lengths_(num_slots, 0), pictures_(num_slots) {}

    int32_t num_slots() const { return static_cast<int32_t>(lengths_.size()); }
    // `slot` if it is one; `what` names the argument in the error.
    int32_t check(const char* what, int64_t slot) const;
    int32_t length(int32_t slot) const { return lengths_[slot]; }
    void append(int32_t slot) { ++lengths_[slot]; }
    // Of rows that the slot has, or is about to get. It may have some of them already.
    void add_picture(int32_t slot, const Picture& picture);
    void set_length(int32_t slot, int32_t length);
    // `to` has what the first `length` rows of `from` are.
    void copy(int32_t from, int32_t to, int32_t length);

    // Where row `row` of the slot is in time, also one that is to come: its number, unless there are pictures
    // in front.
    int32_t position(int32_t slot, int32_t row) const;
    // Behind all that the slot has.
    int32_t next_position(int32_t slot) const;
    // The picture that the slot has some rows of, but not all; null if there is none.
    const Picture* unfinished(int32_t slot) const;
    // Whether the slot cannot be cut at `length`: libllama cuts it by time, which is the same for all rows of
    // a picture.
    bool is_within_picture(int32_t slot, int32_t length) const;

  private:
    std::vector<int32_t> lengths_;
    std::vector<std::vector<Picture>> pictures_;  // of each slot, in their order
};

}  // namespace native
