#include "sampling/filters.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sampling/draw_seed.h"

namespace native {
namespace {

// exp of a larger difference is 0 as a float, and the logarithm of that is no number.
constexpr float largest_difference = 87;

// Of the softmax, in nats.
double entropy_of(const llama_token_data_array& candidates) {
    const double largest = largest_logit(candidates);
    double sum = 0, weighted = 0;
    for (size_t i = 0; i < candidates.size; ++i) {
        const double difference = candidates.data[i].logit - largest, weight = std::exp(difference);
        sum += weight;
        if (weight > 0) weighted += weight * difference;
    }
    return std::log(sum) - weighted / sum;
}

// As libllama's temp_ext, which divides by temperatures that are next to nothing; that sorts, too.
void apply_dynamic_temperature(llama_token_data_array& candidates, const SamplerParams& params) {
    if (candidates.size <= 1) return;
    if (!candidates.sorted) std::sort(candidates.data, candidates.data + candidates.size, is_better);
    candidates.sorted = true;
    const double low = std::max(0.0, params.temperature - params.dynatemp_range);
    const double high = params.temperature + params.dynatemp_range;
    const double share = std::clamp(entropy_of(candidates) / std::log(double(candidates.size)), 0.0, 1.0);
    const double temperature = low + (high - low) * std::pow(share, params.dynatemp_exponent);
    if (temperature < least_temperature) return drop_below(candidates, largest_logit(candidates));
    for (size_t i = 0; i < candidates.size; ++i) candidates.data[i].logit /= static_cast<float>(temperature);
}

}  // namespace

bool is_better(const llama_token_data& a, const llama_token_data& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

void drop_below(llama_token_data_array& candidates, float least) {
    const auto end = std::remove_if(candidates.data, candidates.data + candidates.size,
                                    [least](const llama_token_data& data) { return data.logit < least; });
    candidates.size = static_cast<size_t>(end - candidates.data);
}

float largest_logit(const llama_token_data_array& candidates) {
    float largest = -std::numeric_limits<float>::infinity();
    for (size_t i = 0; i < candidates.size; ++i) largest = std::max(largest, candidates.data[i].logit);
    return largest;
}

Filters::Filters(const SamplerParams& params, int32_t vocab_size, int32_t n_ctx,
                 std::shared_ptr<const Breakers> breakers)
    : params_(params), vocab_size_(vocab_size), breakers_(std::move(breakers)) {
    num_recent_ = params.repeat_last_n < 0
                      ? n_ctx
                      : static_cast<int32_t>(std::min<int64_t>(params.repeat_last_n, n_ctx));
    const auto active = active_filters(params, vocab_size);
    bool is_first = true;
    for (size_t i = 0; i < active.size(); ++i) {
        is_first &= active[i] == Filter::penalties || active[i] == Filter::dry;
        num_first_ += is_first;
        if (active[i] == Filter::top_k && i == num_first_)
            cuts_first_ = true;
        else if (active[i] != Filter::adaptive_p)  // which draws, behind all others
            steps_.push_back({active[i], make(active[i])});
    }
}

SamplerPtr Filters::make(Filter filter) const {
    const auto real = [](double value) { return static_cast<float>(value); };
    switch (filter) {
        case Filter::penalties:
            return SamplerPtr(llama_sampler_init_penalties(
                vocab_size_, num_recent_, real(params_.repeat_penalty), real(params_.frequency_penalty),
                real(params_.presence_penalty)));
        case Filter::top_n_sigma:
            return SamplerPtr(llama_sampler_init_top_n_sigma(real(params_.top_n_sigma)));
        case Filter::top_k:
            return SamplerPtr(llama_sampler_init_top_k(static_cast<int32_t>(params_.top_k)));
        case Filter::typ_p:
            return SamplerPtr(llama_sampler_init_typical(real(params_.typical_p), 1));
        case Filter::top_p:
            return SamplerPtr(llama_sampler_init_top_p(real(params_.top_p), 1));
        case Filter::min_p:
            return SamplerPtr(llama_sampler_init_min_p(real(params_.min_p), 1));
        case Filter::temperature:
            if (params_.dynatemp_range == 0)
                return SamplerPtr(llama_sampler_init_temp(real(params_.temperature)));
            return nullptr;
        case Filter::dry:
        case Filter::xtc:  // one for each draw, with its own seed
        case Filter::adaptive_p:
            return nullptr;
    }
    return nullptr;
}

void Filters::weigh(std::span<float> row, const Place& place) const {
    for (size_t i = 0; i < num_first_; ++i) penalise_row(steps_[i], row, place);
}

void Filters::apply(llama_token_data_array& candidates, const Place& place) const {
    for (size_t i = num_first_; i < steps_.size(); ++i) apply_step(steps_[i], candidates, place);
}

// libllama's penalties look up every candidate; showing them only the recent tokens gives the same logits.
void Filters::penalise_row(const Step& step, std::span<float> row, const Place& place) const {
    if (step.filter == Filter::dry) {
        for (const auto& [token, penalty] : dry_penalties(place.history, params_, *breakers_))
            row[token] -= penalty;
        return;
    }
    const auto recent = place.history.last(std::min<size_t>(place.history.size(), num_recent_));
    std::vector<int32_t> distinct(recent.begin(), recent.end());
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    std::vector<llama_token_data> few;
    for (const int32_t token : distinct) few.push_back({token, row[token], 0});
    llama_token_data_array array{few.data(), few.size(), -1, false};
    penalise(step.sampler.get(), array, place);
    for (const llama_token_data& data : few) row[data.id] = data.logit;
}

void Filters::penalise(llama_sampler* penalties, llama_token_data_array& candidates,
                       const Place& place) const {
    const auto recent = place.history.last(std::min<size_t>(place.history.size(), num_recent_));
    llama_sampler_reset(penalties);
    for (const int32_t token : recent) llama_sampler_accept(penalties, token);
    llama_sampler_apply(penalties, &candidates);
}

void Filters::apply_step(const Step& step, llama_token_data_array& candidates, const Place& place) const {
    switch (step.filter) {
        case Filter::penalties:
            return penalise(step.sampler.get(), candidates, place);
        case Filter::dry: {
            auto penalties = dry_penalties(place.history, params_, *breakers_);
            std::sort(penalties.begin(), penalties.end());
            for (size_t i = 0; i < candidates.size; ++i) {
                const std::pair<int32_t, float> least{candidates.data[i].id, 0};
                const auto found = std::lower_bound(penalties.begin(), penalties.end(), least);
                if (found != penalties.end() && found->first == least.first)
                    candidates.data[i].logit -= found->second;
            }
            candidates.sorted = false;
            return;
        }
        case Filter::xtc: {
            const SamplerPtr xtc(llama_sampler_init_xtc(static_cast<float>(params_.xtc_probability),
                                                        static_cast<float>(params_.xtc_threshold), 1,
                                                        second_draw_seed(params_.seed, place.position)));
            return llama_sampler_apply(xtc.get(), &candidates);
        }
        case Filter::temperature:
            if (!step.sampler) return apply_dynamic_temperature(candidates, params_);
            return llama_sampler_apply(step.sampler.get(), &candidates);
        case Filter::typ_p:
            drop_below(candidates, largest_logit(candidates) - largest_difference);
            return llama_sampler_apply(step.sampler.get(), &candidates);
        case Filter::top_n_sigma:
            llama_sampler_apply(step.sampler.get(), &candidates);
            return drop_below(candidates, std::numeric_limits<float>::lowest());
        default:
            return llama_sampler_apply(step.sampler.get(), &candidates);
    }
}

}  // namespace native
