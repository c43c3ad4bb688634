#include "sampling/slot_sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "sampling/draw_seed.h"

namespace native {
namespace {

constexpr float impossible = -std::numeric_limits<float>::infinity();

bool is_in(const std::vector<int32_t>& sorted, int32_t token) {
    return std::binary_search(sorted.begin(), sorted.end(), token);
}

[[noreturn]] void fail_without_token(bool has_mask) {
    if (has_mask)
        failed(
            "grammar: no token of this model's vocabulary may follow; ask for something that it can spell");
    failed("logit_bias: it allows none of the model's tokens here; ban fewer");
}

}  // namespace

SlotSampler::SlotSampler(const SamplerParams& params, int32_t vocab_size, int32_t n_ctx,
                         int32_t num_prompt_tokens, std::shared_ptr<const Breakers> breakers)
    : params_(params),
      vocab_size_(vocab_size),
      num_prompt_tokens_(num_prompt_tokens),
      is_greedy_(is_greedy(params)),
      filters_(params, vocab_size, n_ctx, std::move(breakers)),
      memories_(first_memory(params)) {
    params.check(vocab_size);
    const auto active = active_filters(params, vocab_size);
    is_adaptive_ = std::find(active.begin(), active.end(), Filter::adaptive_p) != active.end();
    for (const auto& [token, bias] : params.logit_bias) {
        if (bias == impossible)
            banned_.push_back(static_cast<int32_t>(token));
        else
            biases_.emplace_back(static_cast<int32_t>(token), static_cast<float>(bias));
    }
    for (const int64_t token : params.stop_token_ids) stops_.push_back(static_cast<int32_t>(token));
    std::sort(banned_.begin(), banned_.end());
    std::sort(stops_.begin(), stops_.end());
}

void SlotSampler::draw(std::span<const float> logits, const Place& place, TokenMask mask,
                       DrawBuffers& buffers, Sampled& sampled) {
    const Probabilities probabilities(logits, buffers.maxima);
    const Row row = weighed(logits, place, mask, buffers);
    const int32_t token = is_greedy_ ? first_largest(row.logits, row.maxima) : pick(row, place, buffers);
    probabilities.tell(token, params_.logprobs, buffers.tokens, sampled);
}

bool SlotSampler::may_stop(int32_t position) const {
    return position + 1 - num_prompt_tokens_ >= params_.min_tokens;
}

bool SlotSampler::has_bans(int32_t position) const {
    return !banned_.empty() || (!stops_.empty() && !may_stop(position));
}

bool SlotSampler::bans(int32_t token, int32_t position) const {
    return is_in(banned_, token) || (is_in(stops_, token) && !may_stop(position));
}

SlotSampler::Row SlotSampler::weighed(std::span<const float> logits, const Place& place, TokenMask mask,
                                      DrawBuffers& buffers) const {
    const Row raw{logits, buffers.maxima};
    const bool bans_favourite =
        is_greedy_ && has_bans(place.position) && bans(first_largest(logits, buffers.maxima), place.position);
    if (mask.empty() && biases_.empty() && !filters_.weigh_first() && !bans_favourite) return raw;
    if (biases_.empty() && !filters_.weigh_first() &&
        !has_bans(place.position)) {  // a mask, and nothing else
        buffers.changed.resize(logits.size());
        apply_mask(logits, &buffers.maxima, mask, buffers.changed, buffers.changed_maxima);
        if (buffers.changed_maxima.largest == impossible) fail_without_token(true);
        return {buffers.changed, buffers.changed_maxima};
    }
    buffers.changed.assign(logits.begin(), logits.end());
    for (const auto& [token, bias] : biases_) buffers.changed[token] += bias;
    for (const int32_t token : banned_) buffers.changed[token] = impossible;
    if (!may_stop(place.position))
        for (const int32_t token : stops_) buffers.changed[token] = impossible;
    filters_.weigh(buffers.changed, place);
    if (mask.empty())
        buffers.changed_maxima.scan(buffers.changed);
    else
        apply_mask(buffers.changed, nullptr, mask, buffers.changed, buffers.changed_maxima);
    if (buffers.changed_maxima.largest == impossible) fail_without_token(!mask.empty());
    return {buffers.changed, buffers.changed_maxima};
}

void SlotSampler::fill_candidates(const Row& row, int32_t position, DrawBuffers& buffers) const {
    auto& candidates = buffers.candidates;
    candidates.clear();
    const bool has_bans = this->has_bans(position);
    const auto add = [&](int32_t token) {
        if (row.logits[token] != impossible && !(has_bans && bans(token, position)))
            candidates.push_back({token, row.logits[token], 0});
    };
    if (const int64_t most = filters_.cut_first()) {
        const auto num_bans = has_bans ? static_cast<int64_t>(banned_.size() + stops_.size()) : 0;
        largest_of(row.logits, row.maxima, most + num_bans, buffers.tokens);
        for (const int32_t token : buffers.tokens)
            if (std::ssize(candidates) < most) add(token);
    } else {
        for (int32_t token = 0; token < vocab_size_; ++token) add(token);
    }
    if (candidates.empty()) fail_without_token(false);
}

int32_t SlotSampler::pick(const Row& row, const Place& place, DrawBuffers& buffers) {
    fill_candidates(row, place.position, buffers);
    const bool is_sorted = filters_.cut_first() > 0;
    llama_token_data_array array{buffers.candidates.data(), buffers.candidates.size(), -1, is_sorted};
    filters_.apply(array, place);
    const size_t drawn = std::isfinite(largest_logit(array)) ? choose(array, place) : array.size;
    if (drawn >= array.size || !std::isfinite(array.data[drawn].p))
        failed(
            "no token could be drawn with these parameters: the logits are too large; raise the "
            "temperature, or weaken the penalties");
    return array.data[drawn].id;
}

size_t SlotSampler::choose(llama_token_data_array& candidates, const Place& place) {
    const uint32_t seed = draw_seed(params_.seed, place.position);
    if (!params_.mirostat && !is_adaptive_) {
        const SamplerPtr dist(llama_sampler_init_dist(seed));
        llama_sampler_apply(dist.get(), &candidates);
        return candidates.selected < 0 ? candidates.size : static_cast<size_t>(candidates.selected);
    }
    DrawMemory memory = memories_.at(place.position);
    const size_t drawn = params_.mirostat ? draw_mirostat(candidates, params_, vocab_size_, seed, memory)
                                          : draw_adaptive(candidates, params_, seed, memory);
    memories_.leave(place.position, memory);
    return drawn;
}

}  // namespace native
