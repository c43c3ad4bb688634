#include "base/finite.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace native {
namespace {

constexpr int32_t kLanes = 16;

// value - value is 0, or NaN if the value is not finite, and a sum that became NaN stays NaN.
template <class See>
bool see_finite(std::span<const float> row, See see) {
    float sums[kLanes] = {};
    size_t i = 0;
    for (; i + kLanes <= row.size(); i += kLanes)
        for (int32_t lane = 0; lane < kLanes; ++lane) {
            const float value = row[i + lane];
            see(i + lane, value);
            sums[lane] += value - value;
        }
    for (; i < row.size(); ++i) {
        see(i, row[i]);
        sums[0] += row[i] - row[i];
    }
    return std::all_of(std::begin(sums), std::end(sums), [](float sum) { return sum == 0; });
}

}  // namespace

bool all_finite(std::span<const float> row) {
    return see_finite(row, [](size_t, float) {});
}

bool copy_finite(std::span<const float> row, float* __restrict out) {
    return see_finite(row, [out](size_t i, float value) { out[i] = value; });
}

}  // namespace native
