// Whether numbers are finite. Written in lanes, so that a compiler turns the loops into vectors.
#pragma once

#include <span>

namespace native {

// No value is NaN or infinite.
bool all_finite(std::span<const float> row);

// Copies the row to `out`; true if no value is NaN or infinite.
bool copy_finite(std::span<const float> row, float* out);

}  // namespace native
