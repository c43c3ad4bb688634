// What is done to logits before a token is drawn, and in which order.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sampling/params.h"

namespace native {

enum class Filter : uint8_t {
    penalties,
    dry,
    top_n_sigma,
    top_k,
    typ_p,
    top_p,
    min_p,
    xtc,
    temperature,
    adaptive_p,
};

// As llama-server names them, in the default order: that of the enum.
inline constexpr std::array<std::string_view, 10> filter_names = {
    "penalties", "dry",   "top_n_sigma", "top_k",       "typ_p",
    "top_p",     "min_p", "xtc",         "temperature", "adaptive_p"};

// The filters of these names; the default order, if there are none. Throws on a name that is unknown, or
// there twice.
std::vector<Filter> order_of(const std::vector<std::string>& names);

// Those of `params` that change anything, in their order. Mirostat cuts tokens off in place of all others.
std::vector<Filter> active_filters(const SamplerParams& params, int32_t vocab_size);

// The token with the largest logit is drawn, whatever the seed is.
bool is_greedy(const SamplerParams& params);

// Below this, dividing the logits by the temperature could overflow; the draw would be the largest logit
// anyway.
inline constexpr double least_temperature = 1e-5;

}  // namespace native
