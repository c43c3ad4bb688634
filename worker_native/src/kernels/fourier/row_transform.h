// Transforms of rows, real or complex, in float32.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/fourier/transform.h"

namespace native {

// A transform between a real row of n elements and the first n // 2 + 1 elements of its spectrum, or of
// complex rows.
struct RowTransform {
    RowTransform(int64_t n, bool is_real);

    // Whether neighbouring real elements are taken as one complex one: a transform of half the length.
    bool is_packed;
    Transform<float> transform;
    std::vector<float> cos, sin;  // [n / 2 + 1], of a packed one: the turns of exp(-2 pi i k / n)
    int64_t num_bytes() const;
};

}  // namespace native
