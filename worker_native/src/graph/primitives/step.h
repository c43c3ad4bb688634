// One step of a program: a primitive, with its sources and parameters.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/libllama.h"

namespace native {

// What one tensor may have: products of its extents stay inside 63 bits with room for the element size.
inline constexpr int64_t max_elements = int64_t(1) << 48;

// The result of step i is named i. ne is ggml's order: the innermost axis first.
struct Step {
    std::string name;  // the primitive's; the kernel that it is to use stands behind a colon: "map:add"
    ggml_type type;
    std::array<int64_t, 4> ne;
    std::vector<int64_t> sources;  // steps before this one
    std::vector<int64_t> params;   // floats as the bits of a double
};

}  // namespace native
