// All primitives, found by name.
#pragma once

#include <string>
#include <vector>

#include "graph/primitives/primitive.h"

namespace native {

std::vector<std::string> primitive_names();

// The primitive of a step, with the numbers of sources and parameters checked.
const Primitive& primitive_of(const Step& step, int64_t index);

// The kernels that a step of that primitive may name. Throws if it has none.
std::span<const KernelEntry> kernel_family(const std::string& primitive);

}  // namespace native
