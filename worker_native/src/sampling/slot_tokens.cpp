#include "sampling/slot_tokens.h"

#include <algorithm>
#include <iterator>

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
        if (tokens[row] == kNoToken) has_gaps_[slots[row]] = 1;
    }
}

void SlotTokens::prepare(int32_t slot, int32_t source, int32_t length) {
    if (slot != source) tokens_[slot].assign(tokens_[source].begin(), tokens_[source].begin() + length);
    tokens_[slot].resize(length);
    has_gaps_[slot] = length > 0 && has_gaps_[source];
}

std::span<const int32_t> SlotTokens::up_to(int32_t slot, int32_t end, std::vector<int32_t>& buffer) const {
    const auto held = std::span(tokens_[slot]).first(end);
    if (!has_gaps_[slot]) return held;
    buffer.clear();
    std::ranges::copy_if(held, std::back_inserter(buffer), [](int32_t token) { return token != kNoToken; });
    return buffer;
}

}  // namespace native
