#include "slice/slots.h"

#include <algorithm>

#include "base/check.h"

namespace native {

Slots::Slots(int32_t num_slots, bool keep_tokens)
    : keep_tokens_(keep_tokens), lengths_(num_slots, 0), tokens_(keep_tokens ? num_slots : 0) {}

int32_t Slots::check(const char* what, int64_t slot) const {
    return in_range(what, slot, 0, num_slots() - 1);
}

void Slots::append(int32_t slot, int32_t token) {
    if (keep_tokens_) tokens_[slot].push_back(token);
    ++lengths_[slot];
}

void Slots::truncate(int32_t slot, int32_t position) {
    if (keep_tokens_) tokens_[slot].resize(position);
    lengths_[slot] = position;
}

void Slots::copy(int32_t source, int32_t target, int32_t end) {
    if (keep_tokens_) tokens_[target].assign(tokens_[source].begin(), tokens_[source].begin() + end);
    lengths_[target] = end;
}

std::span<const int32_t> Slots::recent(int32_t slot, int32_t end, int32_t most) const {
    const int32_t count = std::min(end, most);
    return std::span(tokens_[slot]).subspan(end - count, count);
}

}  // namespace native
