#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "check.h"

namespace native {
namespace {

// Below this, dividing the logits by the temperature could overflow; the draw would be the largest logit
// anyway.
constexpr double least_temperature = 1e-5;

void check_real(const char* what, double value, double low, double high) {
    if (!(value >= low && value <= high)) bad_value(what, ": ", value, " is outside ", low, "..", high);
}

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
    double log_sum;  // of exp(logit - largest)

    double logprob(float logit) const { return double(logit) - double(largest) - log_sum; }
};

Softmax softmax(std::span<const float> logits) {
    float largest = -std::numeric_limits<float>::infinity();
    bool has_nan = false;
    for (const float logit : logits) {
        has_nan |= std::isnan(logit);
        largest = std::max(largest, logit);
    }
    if (has_nan || !std::isfinite(largest)) failed("logits: not finite; the model or its weights are broken");
    double sum = 0;
    for (const float logit : logits) sum += std::exp(logit - largest);
    return {largest, std::log(sum)};
}

std::vector<std::pair<int32_t, double>> most_probable(std::span<const float> logits, const Softmax& scale,
                                                      int64_t count) {
    using Entry = std::pair<float, int32_t>;
    // a heap of the best so far, the worst of them on top; equal logits: the smaller token id is better
    const auto better = [](const Entry& a, const Entry& b) {
        return a.first != b.first ? a.first > b.first : a.second < b.second;
    };
    std::vector<Entry> best;
    for (size_t token = 0; token < logits.size() && count > 0; ++token) {
        const Entry entry{logits[token], static_cast<int32_t>(token)};
        if (best.size() == size_t(count)) {
            if (!better(entry, best.front())) continue;
            std::pop_heap(best.begin(), best.end(), better);
            best.pop_back();
        }
        best.push_back(entry);
        std::push_heap(best.begin(), best.end(), better);
    }
    std::sort(best.begin(), best.end(), better);
    std::vector<std::pair<int32_t, double>> top;
    for (const auto& [logit, token] : best) top.emplace_back(token, scale.logprob(logit));
    return top;
}

bool has_penalties(const SamplerParams& params) {
    return params.repeat_last_n != 0 &&
           (params.repeat_penalty != 1 || params.presence_penalty != 0 || params.frequency_penalty != 0);
}

SamplerPtr make_chain(const SamplerParams& params) {
    SamplerPtr chain(llama_sampler_chain_init({/*no_perf=*/true}));
    const auto add = [&chain](llama_sampler* sampler) { llama_sampler_chain_add(chain.get(), sampler); };
    if (params.top_k > 0) add(llama_sampler_init_top_k(static_cast<int32_t>(params.top_k)));
    if (params.top_p < 1) add(llama_sampler_init_top_p(static_cast<float>(params.top_p), 1));
    if (params.min_p > 0) add(llama_sampler_init_min_p(static_cast<float>(params.min_p), 1));
    if (params.temperature != 1) add(llama_sampler_init_temp(static_cast<float>(params.temperature)));
    return chain;
}

int32_t largest_of(const Candidates& candidates) {
    const auto less = [](const llama_token_data& a, const llama_token_data& b) { return a.logit < b.logit; };
    return std::max_element(candidates.begin(), candidates.end(), less)->id;
}

}  // namespace

void SamplerParams::check() const {
    check_real("temperature", temperature, 0, 100);
    in_range("top_k", top_k, 0, INT32_MAX);
    check_real("top_p", top_p, 0, 1);
    check_real("min_p", min_p, 0, 1);
    check_real("repeat_penalty", repeat_penalty, 0.01, 100);
    in_range("repeat_last_n", repeat_last_n, -1, INT32_MAX);
    check_real("presence_penalty", presence_penalty, -100, 100);
    check_real("frequency_penalty", frequency_penalty, -100, 100);
    in_range("logprobs", logprobs, 0, INT32_MAX);
}

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
                       Candidates& candidates, Sampled& sampled) const {
    const Softmax scale = softmax(logits);
    candidates.resize(logits.size());
    for (size_t token = 0; token < logits.size(); ++token)
        candidates[token] = {static_cast<int32_t>(token), logits[token], 0};
    if (penalties_) apply_penalties(recent, candidates);
    sampled.token = is_greedy() ? largest_of(candidates) : pick(position, candidates);
    sampled.logprob = scale.logprob(logits[sampled.token]);
    sampled.top = most_probable(logits, scale, params_.logprobs);
}

// libllama's penalties look up every candidate; showing them only the recent tokens gives the same logits.
void SlotSampler::apply_penalties(std::span<const int32_t> recent, Candidates& candidates) const {
    llama_sampler_reset(penalties_.get());
    for (const int32_t token : recent) llama_sampler_accept(penalties_.get(), token);
    std::vector<int32_t> distinct(recent.begin(), recent.end());
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    Candidates few;
    for (const int32_t token : distinct) few.push_back(candidates[token]);
    llama_token_data_array array{few.data(), few.size(), -1, false};
    llama_sampler_apply(penalties_.get(), &array);
    for (size_t i = 0; i < array.size; ++i) candidates[few[i].id] = few[i];
}

int32_t SlotSampler::pick(int32_t position, Candidates& candidates) const {
    llama_token_data_array array{candidates.data(), candidates.size(), -1, false};
    llama_sampler_apply(chain_.get(), &array);
    const SamplerPtr dist(llama_sampler_init_dist(draw_seed(params_.seed, position)));
    llama_sampler_apply(dist.get(), &array);
    const bool is_drawn = array.selected >= 0 && size_t(array.selected) < array.size;
    if (!is_drawn || !std::isfinite(array.data[array.selected].p))
        failed("sample: no token could be drawn; the logits are too large for these parameters");
    return array.data[array.selected].id;
}

}  // namespace native
