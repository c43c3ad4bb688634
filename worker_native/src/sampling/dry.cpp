#include "sampling/dry.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/check.h"

namespace native {
namespace {

// Larger ones would take a logit to -inf, or one that is infinite to no number at all.
constexpr double largest_penalty = std::numeric_limits<float>::max() / 4;

// For each place in `tokens`, how many tokens that end there are equal to those at the end of all; no more
// than `most`. The Z-algorithm, from the end.
std::vector<int32_t> repeated_suffixes(std::span<const int32_t> tokens, int32_t most) {
    const auto size = static_cast<int32_t>(tokens.size());
    const auto from_end = [&](int32_t i) { return tokens[size - 1 - i]; };
    std::vector<int32_t> lengths(size, 0);  // by distance from the end
    for (int32_t at = 1, left = 0, right = 0; at < size; ++at) {
        int32_t length = at < right ? std::min(right - at, lengths[at - left]) : 0;
        while (at + length < size && from_end(length) == from_end(at + length)) ++length;
        lengths[at] = length;
        if (at + length > right) left = at, right = at + length;
    }
    std::reverse(lengths.begin(), lengths.end());
    for (int32_t& length : lengths) length = std::min(length, most);
    return lengths;
}

}  // namespace

Breakers::Breakers(std::shared_ptr<const Pieces> pieces, std::vector<std::string> texts)
    : pieces_(std::move(pieces)), texts_(std::move(texts)) {
    if (texts_.empty()) return;
    if (!pieces_ || pieces_->empty())
        bad_value("dry_sequence_breakers: this model's tokens have no text here; give none");
    kinds_.reserve(pieces_->size());
    for (const std::string& piece : *pieces_) kinds_.push_back(kind_of(piece));
}

Breakers::Kind Breakers::kind_of(const std::string& piece) const {
    bool may_begin = false;
    for (const std::string& text : texts_) {
        if (piece.find(text) != std::string::npos) return Kind::holds;
        for (size_t size = 1; size < text.size() && size <= piece.size() && !may_begin; ++size)
            may_begin = piece.compare(piece.size() - size, size, text, 0, size) == 0;
    }
    return may_begin ? Kind::may_begin : Kind::plain;
}

int32_t Breakers::num_behind(std::span<const int32_t> tokens) const {
    const auto size = static_cast<int32_t>(tokens.size());
    if (texts_.empty()) return size;
    for (int32_t at = size - 1; at >= 0; --at) {
        const Kind kind = kinds_[tokens[at]];
        if (kind == Kind::plain) continue;
        const auto behind = tokens.subspan(at + 1);
        const int32_t num_continued =
            kind == Kind::holds ? 0 : this->num_continued((*pieces_)[tokens[at]], behind);
        if (num_continued >= 0) return static_cast<int32_t>(behind.size()) - num_continued;
    }
    return size;
}

int32_t Breakers::num_continued(const std::string& piece, std::span<const int32_t> behind) const {
    int32_t most = -1;
    for (const std::string& text : texts_)
        for (size_t size = 1; size < text.size() && size <= piece.size(); ++size) {
            if (piece.compare(piece.size() - size, size, text, 0, size) != 0) continue;
            size_t matched = size, count = 0;
            while (matched < text.size() && count < behind.size()) {
                const std::string& next = (*pieces_)[behind[count]];
                const size_t common = std::min(next.size(), text.size() - matched);
                if (text.compare(matched, common, next, 0, common) != 0) break;
                matched += common;
                ++count;
            }
            if (matched == text.size()) most = std::max(most, static_cast<int32_t>(count));
        }
    return most;
}

std::vector<std::pair<int32_t, float>> dry_penalties(std::span<const int32_t> tokens,
                                                     const SamplerParams& params, const Breakers& breakers) {
    const int64_t allowed = params.dry_allowed_length, last_n = params.dry_penalty_last_n;
    if (last_n >= 0 && std::ssize(tokens) > last_n) tokens = tokens.last(last_n);
    if (std::ssize(tokens) <= allowed) return {};
    const int32_t num_behind = breakers.num_behind(tokens);
    if (num_behind < allowed) return {};
    const auto lengths = repeated_suffixes(tokens, num_behind);
    std::unordered_map<int32_t, int32_t> longest;  // what a token would continue, without itself
    for (size_t at = 0; at + 1 < tokens.size(); ++at)
        if (lengths[at] >= allowed) {
            int32_t& length = longest[tokens[at + 1]];
            length = std::max(length, lengths[at]);
        }
    std::vector<std::pair<int32_t, float>> penalties;
    for (const auto& [token, length] : longest) {
        if (breakers.are_in(token)) continue;
        const double penalty = params.dry_multiplier * std::pow(params.dry_base, double(length - allowed));
        penalties.emplace_back(token, static_cast<float>(std::min(penalty, largest_penalty)));
    }
    return penalties;
}

}  // namespace native
