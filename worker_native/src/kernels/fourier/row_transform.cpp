#include "kernels/fourier/row_transform.h"

namespace native {

RowTransform::RowTransform(int64_t n, bool is_real)
    : is_packed(is_real && n % 2 == 0), transform(is_packed ? n / 2 : n) {
    for (int64_t k = 0; is_packed && k <= n / 2; ++k) {
        const Root turn(k, n);
        cos.push_back(static_cast<float>(turn.cos));
        sin.push_back(static_cast<float>(turn.sin));
    }
}

int64_t RowTransform::num_bytes() const {
    return transform.num_bytes() + static_cast<int64_t>(2 * cos.size() * sizeof(float));
}

}  // namespace native
