// The tokens that each slot holds, for the penalties.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace native {

// Stands for a row that is no token, but one of a picture. Nothing is drawn or penalised by it.
inline constexpr int32_t kNoToken = -1;

class SlotTokens {
  public:
    SlotTokens(int32_t num_slots, int32_t n_ctx)
        : n_ctx_(n_ctx), tokens_(num_slots), has_gaps_(num_slots, 0) {}

    int32_t check_slot(const char* what, int64_t slot) const;
    int32_t length(int32_t slot) const { return static_cast<int32_t>(tokens_[slot].size()); }
    // Row i puts a token at a position of its slot, and forgets what that held from there on. If a position
    // lies behind the end of its slot, or is n_ctx or more, it throws and changes nothing.
    void keep(std::span<const int32_t> tokens, std::span<const int32_t> positions,
              std::span<const int32_t> slots);
    // Makes `slot` hold the first `length` tokens that `source` holds.
    void prepare(int32_t slot, int32_t source, int32_t length);
    // The tokens at positions before `end`; where some rows are none, those that are, in `buffer`.
    std::span<const int32_t> up_to(int32_t slot, int32_t end, std::vector<int32_t>& buffer) const;

  private:
    int32_t n_ctx_;
    std::vector<std::vector<int32_t>> tokens_;
    std::vector<uint8_t> has_gaps_;  // for each slot, whether rows of it may be no tokens
};

}  // namespace native
