// A graph as Python sends it: a list of steps, each one primitive with its sources and parameters.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/libllama.h"

namespace native {

// The result of step i is named i. ne is ggml's order: the innermost axis first.
struct Step {
    int64_t code;
    ggml_type type;
    std::array<int64_t, 4> ne;
    std::vector<int64_t> sources;  // steps before this one
    std::vector<int64_t> params;   // floats as the bits of a double
};

// Decode `code, type, ne[4], num_sources, sources..., num_params, params...` for each step, one after the
// other. Checks all that can be checked without knowing the primitives; throws std::invalid_argument.
std::vector<Step> decode_program(std::span<const int64_t> words);

}  // namespace native
