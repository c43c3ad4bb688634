#include "sampling/slot_sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace native {
namespace {

// Below this, dividing the logits by the temperature could overflow; the draw would be the largest logit
// anyway.
constexpr double least_temperature = 1e-5;

// The splitmix64 finaliser (Steele, Lea and Flood 2014): every input bit reaches every output bit.
uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

uint32_t draw_seed(uint64_t seed, int32_t position) {
    const auto mixed = static_cast<uint32_t>(mix(seed ^ mix(static_cast<uint64_t>(position))) >> 32);
    return mixed == LLAMA_DEFAULT_SEED ? 0 : mixed;  // libllama takes that one value for "seed me at random"
}

struct Softmax {
    float largest;
    double log_sum;  // the logarithm of the sum of exp(logit - largest)

    double logprob(float logit) const { return double(logit) - double(largest) - log_sum; }
};

Softmax softmax(std::span<const float> logits, BlockMaxima& maxima) {
    maxima.scan(logits);
    if (maxima.has_nan || !std::isfinite(maxima.largest))
        failed(
            "the model gives logits that are not finite for this text; its weights are damaged, or their "
            "numbers overflow: get the file again, or another quantisation");
    return {maxima.largest, log_sum_exp(logits, maxima.largest)};
}

bool has_penalties(const SamplerParams& params) {
    return params.repeat_last_n != 0 &&
           (params.repeat_penalty != 1 || params.presence_penalty != 0 || params.frequency_penalty != 0);
}

SamplerPtr make_chain(const SamplerParams& params) {
    SamplerPtr chain(llama_sampler_chain_init({/*no_perf=*/true}));
    const auto add = [&chain](llama_sampler* sampler) { llama_sampler_chain_add(chain.get(), sampler); };
    if (params.top_p < 1) add(llama_sampler_init_top_p(static_cast<float>(params.top_p), 1));
    if (params.min_p > 0) add(llama_sampler_init_min_p(static_cast<float>(params.min_p), 1));
    if (params.temperature != 1) add(llama_sampler_init_temp(static_cast<float>(params.temperature)));
    return chain;
}

}  // namespace

SlotSampler::SlotSampler(const SamplerParams& params, int32_t vocab_size, int32_t n_ctx)
    : params_(params), num_recent_(0), chain_(make_chain(params)) {
    if (params.logprobs > vocab_size)
        bad_value("logprobs: ", params.logprobs, " of a vocabulary of ", vocab_size, " tokens");
    if (!has_penalties(params)) return;
    num_recent_ = params.repeat_last_n < 0
                      ? n_ctx
                      : static_cast<int32_t>(std::min<int64_t>(params.repeat_last_n, n_ctx));
    penalties_.reset(llama_sampler_init_penalties(
        vocab_size, num_recent_, static_cast<float>(params.repeat_penalty),
        static_cast<float>(params.frequency_penalty), static_cast<float>(params.presence_penalty)));
}

bool SlotSampler::is_greedy() const { return params_.temperature < least_temperature; }

void SlotSampler::draw(std::span<const float> logits, int32_t position, std::span<const int32_t> recent,
                       TokenMask mask, DrawBuffers& buffers, Sampled& sampled) const {
    const Softmax scale = softmax(logits, buffers.maxima);
    std::span<const float> weighed = logits;
    const BlockMaxima* maxima = &buffers.maxima;
    if (penalties_) {
        buffers.penalised.assign(logits.begin(), logits.end());
        penalise(recent, buffers.penalised);
        weighed = buffers.penalised;
        maxima = &buffers.penalised_maxima;
        if (mask.empty()) buffers.penalised_maxima.scan(buffers.penalised);
    }
    if (!mask.empty()) {
        buffers.penalised.resize(logits.size());
        apply_mask(weighed, mask, buffers.penalised, buffers.penalised_maxima);
        weighed = buffers.penalised;
        maxima = &buffers.penalised_maxima;
        if (maxima->largest == -std::numeric_limits<float>::infinity())
            failed(
                "grammar: no token of this model's vocabulary may follow; ask for something that it can "
                "spell");
    }
    sampled.token = is_greedy() ? first_largest(weighed, *maxima) : pick(weighed, *maxima, position, buffers);
    sampled.logprob = scale.logprob(logits[sampled.token]);
    largest_of(logits, buffers.maxima, params_.logprobs, buffers.tokens);
    for (const int32_t token : buffers.tokens) sampled.top.emplace_back(token, scale.logprob(logits[token]));
}

// libllama's penalties look up every candidate; showing them only the recent tokens gives the same logits.
void SlotSampler::penalise(std::span<const int32_t> recent, std::span<float> logits) const {
    llama_sampler_reset(penalties_.get());
    for (const int32_t token : recent) llama_sampler_accept(penalties_.get(), token);
    std::vector<int32_t> distinct(recent.begin(), recent.end());
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    std::vector<llama_token_data> few;
    for (const int32_t token : distinct) few.push_back({token, logits[token], 0});
    llama_token_data_array array{few.data(), few.size(), -1, false};
    llama_sampler_apply(penalties_.get(), &array);
    for (const llama_token_data& data : few) logits[data.id] = data.logit;
}

int32_t SlotSampler::pick(std::span<const float> logits, const BlockMaxima& maxima, int32_t position,
                          DrawBuffers& buffers) const {
    auto& candidates = buffers.candidates;
    candidates.clear();
    const bool is_cut = params_.top_k > 0 && params_.top_k < std::ssize(logits);
    if (is_cut) {
        largest_of(logits, maxima, params_.top_k, buffers.tokens);
        for (const int32_t token : buffers.tokens) candidates.push_back({token, logits[token], 0});
    } else {
        for (size_t token = 0; token < logits.size(); ++token)
            if (logits[token] != -std::numeric_limits<float>::infinity())
                candidates.push_back({static_cast<int32_t>(token), logits[token], 0});
    }
    llama_token_data_array array{candidates.data(), candidates.size(), -1, is_cut};
    llama_sampler_apply(chain_.get(), &array);
    const SamplerPtr dist(llama_sampler_init_dist(draw_seed(params_.seed, position)));
    llama_sampler_apply(dist.get(), &array);
    const bool is_drawn = array.selected >= 0 && size_t(array.selected) < array.size;
    if (!is_drawn || !std::isfinite(array.data[array.selected].p))
        failed(
            "no token could be drawn with these parameters: the logits are too large; raise the "
            "temperature, or weaken the penalties");
    return array.data[array.selected].id;
}

}  // namespace native
