#include "sampling/sampler.h"

#include <algorithm>
#include <stdexcept>

#include "base/check.h"

namespace native {

Sampler::Sampler(int64_t vocab_size, int64_t num_slots, int64_t n_ctx)
    : vocab_size_(in_range("vocab_size", vocab_size, 1, INT32_MAX)),
      n_ctx_(in_range("n_ctx", n_ctx, 1, INT32_MAX)),
      samplers_(in_range("num_slots", num_slots, 1, INT32_MAX)),
      tokens_(static_cast<int32_t>(num_slots), n_ctx_) {}

void Sampler::name_tokens(std::vector<std::string> pieces) {
    if (std::ssize(pieces) != vocab_size_)
        bad_value("pieces: ", pieces.size(), " for a vocabulary of ", vocab_size_, " tokens");
    pieces_ = std::make_shared<const Pieces>(std::move(pieces));
    breakers_.reset();
}

void Sampler::set(int64_t slot, const SamplerParams& params, int64_t num_prompt_tokens) {
    const int32_t checked = tokens_.check_slot("slot", slot);
    const int32_t num_given = in_range("num_prompt_tokens", num_prompt_tokens, 0, n_ctx_);
    samplers_[checked].reset();
    const auto active = active_filters(params, vocab_size_);
    const bool is_dry = std::find(active.begin(), active.end(), Filter::dry) != active.end();
    samplers_[checked].emplace(params, vocab_size_, n_ctx_, num_given,
                               is_dry ? breakers_for(params.dry_sequence_breakers) : nullptr);
}

// Looking at all tokens takes a while; most requests have the same texts.
std::shared_ptr<const Breakers> Sampler::breakers_for(const std::vector<std::string>& texts) {
    if (!breakers_ || breakers_->texts() != texts)
        breakers_ = std::make_shared<const Breakers>(pieces_, texts);
    return breakers_;
}

void Sampler::keep(std::span<const int32_t> tokens, std::span<const int32_t> positions,
                   std::span<const int32_t> slots) {
    for (const int32_t token : tokens) in_range("tokens", token, kNoToken, vocab_size_ - 1);
    tokens_.keep(tokens, positions, slots);
}

void Sampler::prepare_slot(int64_t slot, int64_t source, int64_t length) {
    const int32_t to = tokens_.check_slot("slot", slot), from = tokens_.check_slot("source", source);
    const int32_t end = in_range("length", length, 0, tokens_.length(from));
    tokens_.prepare(to, from, end);
    if (from != to || end == 0) samplers_[to].reset();
}

void Sampler::check_request(LogitsRows logits, int64_t row, int64_t slot, int64_t position) const {
    in_range("rows", row, 0, logits.num_rows - 1);
    const int32_t checked = tokens_.check_slot("slots", slot);
    if (!samplers_[checked]) bad_value("sample: slot ", slot, " has no parameters; call set first");
    if (position < 0 || position >= tokens_.length(checked))
        bad_value("positions: slot ", slot, " holds ", tokens_.length(checked), " tokens, none at position ",
                  position);
}

std::span<const float> Sampler::row_of(LogitsRows logits, int64_t row) const {
    return {logits.values + row * vocab_size_, static_cast<size_t>(vocab_size_)};
}

std::vector<Sampled> Sampler::score(LogitsRows logits, const std::vector<int64_t>& rows,
                                    const std::vector<int64_t>& tokens, int64_t num_top) {
    in_range("num_top", num_top, 0, vocab_size_);
    if (tokens.size() != rows.size())
        bad_value("score: rows (", rows.size(), ") and tokens (", tokens.size(), ") must be equally long");
    for (size_t i = 0; i < rows.size(); ++i) {
        in_range("rows", rows[i], 0, logits.num_rows - 1);
        in_range("tokens", tokens[i], 0, vocab_size_ - 1);
    }
    std::vector<Sampled> told(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
        try {
            const Probabilities probabilities(row_of(logits, rows[i]), buffers_.maxima);
            probabilities.tell(static_cast<int32_t>(tokens[i]), num_top, buffers_.tokens, told[i]);
        } catch (const std::runtime_error& error) {
            told[i].error = error.what();
        }
    }
    return told;
}

std::vector<Sampled> Sampler::sample(LogitsRows logits, const std::vector<int64_t>& rows,
                                     const std::vector<int64_t>& slots, const std::vector<int64_t>& positions,
                                     const std::vector<TokenMask>& masks) {
    if (slots.size() != rows.size() || positions.size() != rows.size())
        bad_value("sample: rows (", rows.size(), "), slots (", slots.size(), ") and positions (",
                  positions.size(), ") must be equally long");
    if (!masks.empty() && masks.size() != rows.size())
        bad_value("sample: ", masks.size(), " masks for ", rows.size(), " rows");
    const size_t num_words = num_mask_words(static_cast<size_t>(vocab_size_));
    for (const TokenMask mask : masks)
        if (!mask.empty() && mask.size() != num_words)
            bad_value("masks: ", mask.size(), " words for a vocabulary of ", vocab_size_,
                      " tokens, which takes ", num_words);
    for (size_t i = 0; i < rows.size(); ++i) check_request(logits, rows[i], slots[i], positions[i]);
    std::vector<Sampled> drawn(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
        const auto slot = static_cast<int32_t>(slots[i]), position = static_cast<int32_t>(positions[i]);
        SlotSampler& sampler = *samplers_[slot];
        const auto row = row_of(logits, rows[i]);
        try {
            const Place place{position, tokens_.up_to(slot, position + 1, buffers_.history)};
            sampler.draw(row, place, masks.empty() ? TokenMask() : masks[i], buffers_, drawn[i]);
        } catch (const std::runtime_error& error) {  // that row's own fault: the others are drawn
            drawn[i].error = error.what();
        }
    }
    return drawn;
}

}  // namespace native
