#include "sampling/surprise.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "sampling/filters.h"

namespace native {
namespace {

// Of the most probable tokens, so many say how steeply the probabilities fall.
constexpr size_t mirostat_sample = 100;

constexpr float most_decay = 0.99F;
// The shape of adaptive-p's logits around the target.
constexpr float width = 0.3F, peak = 5, sharpness = 10;

// Sets the probabilities.
void softmax(llama_token_data_array& candidates) {
    const float largest = largest_logit(candidates);
    float sum = 0;
    for (size_t i = 0; i < candidates.size; ++i)
        sum += candidates.data[i].p = std::exp(candidates.data[i].logit - largest);
    for (size_t i = 0; i < candidates.size; ++i) candidates.data[i].p /= sum;
}

size_t draw_by_probability(const llama_token_data_array& candidates, uint32_t seed) {
    std::vector<float> weights;
    weights.reserve(candidates.size);
    for (size_t i = 0; i < candidates.size; ++i) weights.push_back(candidates.data[i].p);
    std::mt19937 generator(seed);
    return static_cast<size_t>(std::discrete_distribution<int>(weights.begin(), weights.end())(generator));
}

// Sorts the best `count`, and drops the others.
void keep_best(llama_token_data_array& candidates, size_t count) {
    count = std::clamp<size_t>(count, 1, candidates.size);
    std::partial_sort(candidates.data, candidates.data + count, candidates.data + candidates.size, is_better);
    candidates.size = count;
    candidates.sorted = true;
}

// How many tokens Mirostat 1 keeps for a surprise of at most `mu` bits: equation 9 of Basu et al. 2021.
size_t num_kept(const llama_token_data_array& candidates, int32_t vocab_size, float mu) {
    const size_t num_sampled = std::min(mirostat_sample, candidates.size);
    std::vector<llama_token_data> best(num_sampled);
    std::partial_sort_copy(candidates.data, candidates.data + candidates.size, best.begin(), best.end(),
                           is_better);
    float products = 0, squares = 0;
    for (size_t i = 0; i + 1 < num_sampled; ++i) {
        const float ranks = std::log(float(i + 2) / float(i + 1));
        products += ranks * (best[i].logit - best[i + 1].logit);
        squares += ranks * ranks;
    }
    const float steepness = products / squares, excess = steepness - 1;
    const float count =
        std::pow(excess * std::exp2(mu) / (1 - std::pow(float(vocab_size), -excess)), 1 / steepness);
    if (!(count >= 1)) return 1;  // no number, too
    return count < float(candidates.size) ? static_cast<size_t>(count) : candidates.size;
}

}  // namespace

DrawMemory DrawMemories::at(int32_t position) {
    if (by_position_.empty() || position < begin_) {
        begin_ = position;
        by_position_.assign(1, first_);
    }
    return by_position_[std::min<size_t>(position - begin_, by_position_.size() - 1)];
}

void DrawMemories::leave(int32_t position, DrawMemory memory) {
    const size_t place = position - begin_;
    by_position_.resize(place + 1, by_position_.back());
    by_position_.push_back(memory);
}

DrawMemory first_memory(const SamplerParams& params) {
    if (params.mirostat) return {static_cast<float>(2 * params.mirostat_tau), 0};
    const float weight = 1 / (1 - std::min(static_cast<float>(params.adaptive_decay), most_decay));
    return {static_cast<float>(params.adaptive_target) * weight, weight};
}

size_t draw_mirostat(llama_token_data_array& candidates, const SamplerParams& params, int32_t vocab_size,
                     uint32_t seed, DrawMemory& memory) {
    if (params.mirostat == 1) {
        keep_best(candidates, num_kept(candidates, vocab_size, memory.sum));
    } else {
        softmax(candidates);
        const float least = std::exp2(-memory.sum);
        const auto end = std::partition(candidates.data, candidates.data + candidates.size,
                                        [least](const llama_token_data& data) { return data.p >= least; });
        const auto count = static_cast<size_t>(end - candidates.data);
        if (count > 0) candidates.size = count;
        keep_best(candidates, count);  // the best one, if all surprise more
    }
    softmax(candidates);
    const size_t drawn = draw_by_probability(candidates, seed);
    const float surprise = -std::log2(candidates.data[drawn].p);
    memory.sum -=
        static_cast<float>(params.mirostat_eta) * (surprise - static_cast<float>(params.mirostat_tau));
    return drawn;
}

size_t draw_adaptive(llama_token_data_array& candidates, const SamplerParams& params, uint32_t seed,
                     DrawMemory& memory) {
    softmax(candidates);
    std::vector<float> original;
    original.reserve(candidates.size);
    for (size_t i = 0; i < candidates.size; ++i) original.push_back(candidates.data[i].p);
    const auto target = static_cast<float>(params.adaptive_target);
    const float aim = std::clamp(2 * target - memory.sum / memory.weight, 0.0F, 1.0F);
    for (size_t i = 0; i < candidates.size; ++i) {
        const float distance = std::abs((original[i] - aim) * (1 / width));
        candidates.data[i].logit = peak - sharpness * distance * distance / (1 + distance);
    }
    softmax(candidates);
    const size_t drawn = draw_by_probability(candidates, seed);
    const float decay = std::min(static_cast<float>(params.adaptive_decay), most_decay);
    memory = {original[drawn] + decay * memory.sum, 1 + decay * memory.weight};
    return drawn;
}

}  // namespace native
