#include <algorithm>

#include "kernels/spatial/spatial.h"

namespace native {
namespace {

// One row of one phase: `count` elements of a source row of `width`, every `stride`-th from `first` on.
template <class T>
void arrange_row(T* out, int64_t count, const T* row, int64_t width, int64_t first, int64_t stride, T fill) {
    const int64_t begin = std::clamp<int64_t>((-first + stride - 1) / stride, 0, count);
    const int64_t before_end = width - first;
    const int64_t end = std::clamp<int64_t>((before_end + stride - 1) / stride, begin, count);
    std::fill(out, out + begin, fill);
    if (stride == 1)
        std::copy(row + first + begin, row + first + end, out + begin);
    else
        for (int64_t i = begin; i < end; ++i) out[i] = row[first + i * stride];
    std::fill(out + end, out + count, fill);
}

template <class T>
void arrange(ggml_tensor* dst, int ith, int nth, void* data) {
    const std::vector<int64_t>& params = static_cast<const Kernel*>(data)->params;
    const Triple low = triple(params, 0), stride = triple(params, 3);
    const Triple in = spatial(dst->src[0]), out = spatial(dst);
    const T fill = static_cast<T>(params[6]);
    const Range rows(ggml_nrows(dst), ith, nth);
    for (int64_t row = rows.begin; row < rows.end; ++row) {
        int64_t rest = row;
        const int64_t q1 = rest % out[1];
        rest /= out[1];
        const int64_t q0 = rest % out[0];
        rest /= out[0];
        const int64_t s2 = rest % stride[2];
        rest /= stride[2];
        const int64_t s1 = rest % stride[1];
        rest /= stride[1];
        const int64_t i0 = q0 * stride[0] + rest % stride[0] - low[0], i1 = q1 * stride[1] + s1 - low[1];
        T* to = static_cast<T*>(dst->data) + row * out[2];
        if (i0 < 0 || i0 >= in[0] || i1 < 0 || i1 >= in[1]) {
            std::fill(to, to + out[2], fill);
            continue;
        }
        const int64_t plane = rest / stride[0];
        const T* from =
            static_cast<const T*>(dst->src[0]->data) + ((plane * in[0] + i0) * in[1] + i1) * in[2];
        arrange_row(to, out[2], from, in[2], s2 - low[2], stride[2], fill);
    }
}

}  // namespace

KernelFunction arrange_kernel(ggml_type type) {
    if (ggml_blck_size(type) != 1) return nullptr;
    switch (ggml_type_size(type)) {
        case 2:
            return arrange<uint16_t>;
        case 4:
            return arrange<uint32_t>;
        case 8:
            return arrange<uint64_t>;
        default:
            return nullptr;
    }
}

}  // namespace native
