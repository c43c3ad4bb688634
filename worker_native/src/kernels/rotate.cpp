// Rows turned by tables: the first half of a row and the second are the two coordinates of as many points.
#include "kernels/cpu_kinds.h"
#include "kernels/kernel.h"
#include "kernels/lanes.h"

namespace native {
namespace {

// A row of `2 * half` elements and what turns it.
struct Row {
    const float *x, *cos, *sin;
    float* out;
    int64_t half;
};

struct Rotate {
    template <int lanes>
    INLINE static void apply(const Row& row) {
        using Vector = typename Lanes<lanes>::Vector;
        const auto turn = [&](int64_t i, int64_t count) {
            const int64_t j = row.half + i;
            Vector low, high, factor, share;
            load<lanes>(low, row.x + i, count, 0);
            load<lanes>(high, row.x + j, count, 0);
            load<lanes>(factor, row.cos + i, count, 0);
            load<lanes>(share, row.sin + i, count, 0);
            store<lanes>(row.out + i, count, low * factor - high * share);
            load<lanes>(factor, row.cos + j, count, 0);
            load<lanes>(share, row.sin + j, count, 0);
            store<lanes>(row.out + j, count, high * factor + low * share);
        };
        int64_t i = 0;
        for (; i + lanes <= row.half; i += lanes) turn(i, lanes);
        if (i < row.half) turn(i, row.half - i);
    }
};

// The row of a source at the result's indices; axes of one element repeat.
const float* row_at(const ggml_tensor* t, int64_t i1, int64_t i2, int64_t i3) {
    const auto step = [t](int axis, int64_t i) {
        return t->ne[axis] == 1 ? 0 : static_cast<size_t>(i) * t->nb[axis];
    };
    return reinterpret_cast<const float*>(static_cast<const char*>(t->data) + step(1, i1) + step(2, i2) +
                                          step(3, i3));
}

void rotate(ggml_tensor* dst, int ith, int nth, void*) {
    const auto function = for_this_cpu<Rotate, const Row&>();
    const Range rows(ggml_nrows(dst), ith, nth);
    for (int64_t row = rows.begin; row < rows.end; ++row) {
        const int64_t i1 = row % dst->ne[1], rest = row / dst->ne[1];
        const int64_t i2 = rest % dst->ne[2], i3 = rest / dst->ne[2];
        const auto at = [&](int source) { return row_at(dst->src[source], i1, i2, i3); };
        function({at(0), at(1), at(2), static_cast<float*>(dst->data) + row * dst->ne[0], dst->ne[0] / 2});
    }
}

}  // namespace

KernelFunction rotate_kernel() { return rotate; }

}  // namespace native
