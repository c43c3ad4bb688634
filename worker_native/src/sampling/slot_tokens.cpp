#include "sampling/slot_tokens.h"

#include <algorithm>

#include "base/check.h"

namespace native {

int32_t SlotTokens::check_slot(const char* what, int64_t slot) const {
    return in_range(what, slot, 0, static_cast<int64_t>(tokens_.size()) - 1);
}

void SlotTokens::keep(std::span<const int32_t> tokens, std::span<const int32_t> positions,
                      std::span<const int32_t> slots) {
    if (positions.size() != tokens.size() || slots.size() != tokens.size())
        bad_value("keep: tokens (", tokens.size(), "), positions (", positions.size(), ") and slots (",
                  slots.size(), ") must be equally long");
    std::vector<int32_t> lengths;
    for (const auto& held : tokens_) lengths.push_back(static_cast<int32_t>(held.size()));
    for (size_t row = 0; row < tokens.size(); ++row) {
        int32_t& length = lengths[check_slot("slots", slots[row])];
        length = in_range("positions", positions[row], 0, std::min(length, n_ctx_ - 1)) + 1;
    }
    for (size_t row = 0; row < tokens.size(); ++row) {
        std::vector<int32_t>& held = tokens_[slots[row]];
        held.resize(positions[row]);
        held.push_back(tokens[row]);
    }
}

void SlotTokens::prepare(int32_t slot, int32_t source, int32_t length) {
    if (slot != source) tokens_[slot].assign(tokens_[source].begin(), tokens_[source].begin() + length);
    tokens_[slot].resize(length);
}

std::span<const int32_t> SlotTokens::up_to(int32_t slot, int32_t end) const {
    return std::span(tokens_[slot]).first(end);
}

}  // namespace native
