// A graph as Python sends it: a list of steps, as names and numbers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "graph/primitives/step.h"

namespace native {

// How many sources a step may have.
inline constexpr int64_t kMaxSources = GGML_MAX_SRC - 1;

// Decode `name, type, ne[4], num_sources, sources..., num_params, params...` for each step, one after the
// other; a name is a place in `names`. Checks all that can be checked without knowing the primitives; throws
// std::invalid_argument.
std::vector<Step> decode_program(std::span<const std::string> names, std::span<const int64_t> words);

}  // namespace native
