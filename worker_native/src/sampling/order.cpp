#include "sampling/order.h"

#include <algorithm>

#include "base/check.h"

namespace native {
namespace {

bool has_penalties(const SamplerParams& params) {
    return params.repeat_last_n != 0 &&
           (params.repeat_penalty != 1 || params.presence_penalty != 0 || params.frequency_penalty != 0);
}

bool is_active(Filter filter, const SamplerParams& params, int32_t vocab_size) {
    switch (filter) {
        case Filter::penalties:
            return has_penalties(params);
        case Filter::dry:
            return params.dry_multiplier > 0 && params.dry_base >= 1 && params.dry_penalty_last_n != 0;
        case Filter::top_n_sigma:
            return params.top_n_sigma > 0;
        case Filter::top_k:
            return params.top_k > 0 && params.top_k < vocab_size;
        case Filter::typ_p:
            return params.typical_p < 1;
        case Filter::top_p:
            return params.top_p < 1;
        case Filter::min_p:
            return params.min_p > 0;
        case Filter::xtc:
            return params.xtc_probability > 0 && params.xtc_threshold <= 0.5;
        case Filter::temperature:
            return params.temperature != 1 || params.dynatemp_range > 0;
        case Filter::adaptive_p:
            return params.adaptive_target >= 0;
    }
    return false;
}

bool cuts_off(Filter filter) {
    return filter != Filter::penalties && filter != Filter::dry && filter != Filter::temperature;
}

}  // namespace

std::vector<Filter> order_of(const std::vector<std::string>& names) {
    std::vector<Filter> order;
    for (const std::string& name : names) {
        const auto found = std::find(filter_names.begin(), filter_names.end(), name);
        if (found == filter_names.end()) bad_value("samplers: ", name, " is unknown; leave it out");
        const auto filter = static_cast<Filter>(found - filter_names.begin());
        if (std::find(order.begin(), order.end(), filter) != order.end())
            bad_value("samplers: ", name, " is there twice; give it once");
        order.push_back(filter);
    }
    if (names.empty())
        for (size_t i = 0; i < filter_names.size(); ++i) order.push_back(static_cast<Filter>(i));
    return order;
}

std::vector<Filter> active_filters(const SamplerParams& params, int32_t vocab_size) {
    std::vector<Filter> active;
    for (const Filter filter : order_of(params.samplers))
        if (is_active(filter, params, vocab_size) && !(params.mirostat && cuts_off(filter)))
            active.push_back(filter);
    return active;
}

bool is_greedy(const SamplerParams& params) {
    const auto order = order_of(params.samplers);
    return params.temperature < least_temperature &&
           std::find(order.begin(), order.end(), Filter::temperature) != order.end();
}

}  // namespace native
