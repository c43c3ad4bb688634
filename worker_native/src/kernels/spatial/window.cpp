#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/spatial/spatial.h"

namespace native {
namespace {

// Adds the columns of one tap of one plane; positions outside the plane are dropped.
void add_tap(float* out, const Triple& size, const float* column, const Triple& positions,
             const Triple& first, const Triple& stride) {
    for (int64_t o0 = 0; o0 < positions[0]; ++o0) {
        const int64_t i0 = first[0] + o0 * stride[0];
        if (i0 < 0 || i0 >= size[0]) continue;
        for (int64_t o1 = 0; o1 < positions[1]; ++o1) {
            const int64_t i1 = first[1] + o1 * stride[1];
            if (i1 < 0 || i1 >= size[1]) continue;
            float* row = out + (i0 * size[1] + i1) * size[2];
            const float* from = column + (o0 * positions[1] + o1) * positions[2];
            for (int64_t o2 = 0; o2 < positions[2]; ++o2) {
                const int64_t i2 = first[2] + o2 * stride[2];
                if (i2 >= 0 && i2 < size[2]) row[i2] += from[o2];
            }
        }
    }
}

void fold(ggml_tensor* dst, int ith, int nth, void* data) {
    const std::vector<int64_t>& params = static_cast<const Kernel*>(data)->params;
    const Triple kernel = triple(params, 0), stride = triple(params, 3), low = triple(params, 6);
    const Triple dilation = triple(params, 9), positions = triple(params, 12), size = spatial(dst);
    const Range planes(dst->ne[3], ith, nth);
    for (int64_t plane = planes.begin; plane < planes.end; ++plane) {
        float* out = static_cast<float*>(dst->data) + plane * product(size);
        const float* column =
            static_cast<const float*>(dst->src[0]->data) + plane * product(kernel) * product(positions);
        std::fill(out, out + product(size), 0.0f);
        for (int64_t k0 = 0; k0 < kernel[0]; ++k0)
            for (int64_t k1 = 0; k1 < kernel[1]; ++k1)
                for (int64_t k2 = 0; k2 < kernel[2]; ++k2, column += product(positions))
                    add_tap(out, size, column, positions,
                            {k0 * dilation[0] - low[0], k1 * dilation[1] - low[1], k2 * dilation[2] - low[2]},
                            stride);
    }
}

// The source elements of one result element along one axis: [begin, end) by step. `extent` counts the
// padding, too.
struct Window {
    int64_t begin, end, step, extent;
    int64_t size() const { return std::max<int64_t>(end - begin, 0); }
};

struct Pool {
    Triple in, out;
    std::vector<Window> windows[3];
    bool counts_padding;
    int64_t divisor;

    Pool(const ggml_tensor* dst, const std::vector<int64_t>& params)
        : in(spatial(dst->src[0])), out(spatial(dst)), counts_padding(params[13] != 0), divisor(params[14]) {
        const Triple kernel = triple(params, 1), stride = triple(params, 4), low = triple(params, 7),
                     dilation = triple(params, 10);
        for (size_t axis = 0; axis < 3; ++axis)
            for (int64_t o = 0; o < out[axis]; ++o)
                windows[axis].push_back(params[0] != 0 ? adaptive(o, out[axis], in[axis])
                                                       : regular(o * stride[axis] - low[axis], kernel[axis],
                                                                 dilation[axis], in[axis], low[axis]));
    }
    static Window adaptive(int64_t o, int64_t out, int64_t in) {
        const int64_t begin = o * in / out, end = ((o + 1) * in + out - 1) / out;
        return {begin, end, 1, end - begin};
    }
    static Window regular(int64_t first, int64_t kernel, int64_t dilation, int64_t in, int64_t low) {
        const int64_t end = first + (kernel - 1) * dilation + 1, skipped = first < 0 ? -first : 0;
        const int64_t begin = first + (skipped + dilation - 1) / dilation * dilation;
        return {begin, std::min(end, in), dilation, std::min(end, in + low) - first};
    }
    // Calls each(windows, result) for the worker's result elements; `source` is that of the element's plane.
    template <class T, class R, class Each>
    void run(ggml_tensor* dst, int ith, int nth, Each each) const {
        const Range rows(ggml_nrows(dst), ith, nth);
        for (int64_t row = rows.begin; row < rows.end; ++row) {
            const auto o1 = static_cast<size_t>(row % out[1]),
                       o0 = static_cast<size_t>(row / out[1] % out[0]);
            const T* plane = static_cast<const T*>(dst->src[0]->data) + row / (out[0] * out[1]) * product(in);
            R* to = static_cast<R*>(dst->data) + row * out[2];
            for (size_t o2 = 0; o2 < windows[2].size(); ++o2)
                to[o2] = each(plane, windows[0][o0], windows[1][o1], windows[2][o2]);
        }
    }
};

template <class T>
bool is_better(T x, T best) {
    if constexpr (std::is_floating_point_v<T>) return x > best || std::isnan(x);
    return x > best;
}

// The place of the largest element, the first of equals; the last NaN wins, as in PyTorch.
template <class T>
std::pair<T, int64_t> largest(const Triple& in, const T* plane, const Window& w0, const Window& w1,
                              const Window& w2) {
    T best = std::numeric_limits<T>::lowest();
    if constexpr (std::is_floating_point_v<T>) best = -std::numeric_limits<T>::infinity();
    int64_t place = (w0.begin * in[1] + w1.begin) * in[2] + w2.begin;
    for (int64_t i0 = w0.begin; i0 < w0.end; i0 += w0.step)
        for (int64_t i1 = w1.begin; i1 < w1.end; i1 += w1.step)
            for (int64_t i2 = w2.begin; i2 < w2.end; i2 += w2.step) {
                const int64_t at = (i0 * in[1] + i1) * in[2] + i2;
                if (is_better(plane[at], best)) best = plane[at], place = at;
            }
    return {best, place};
}

template <class T>
void max_pool(ggml_tensor* dst, int ith, int nth, void* data) {
    const Pool pool(dst, static_cast<const Kernel*>(data)->params);
    pool.run<T, T>(dst, ith, nth, [&](const T* plane, const Window& a, const Window& b, const Window& c) {
        return largest(pool.in, plane, a, b, c).first;
    });
}

template <class T>
void max_pool_index(ggml_tensor* dst, int ith, int nth, void* data) {
    const Pool pool(dst, static_cast<const Kernel*>(data)->params);
    pool.run<T, int64_t>(dst, ith, nth,
                         [&](const T* plane, const Window& a, const Window& b, const Window& c) {
                             return largest(pool.in, plane, a, b, c).second;
                         });
}

void avg_pool(ggml_tensor* dst, int ith, int nth, void* data) {
    const Pool pool(dst, static_cast<const Kernel*>(data)->params);
    pool.run<float, float>(
        dst, ith, nth, [&](const float* plane, const Window& a, const Window& b, const Window& c) {
            float sum = 0;
            for (int64_t i0 = a.begin; i0 < a.end; ++i0)
                for (int64_t i1 = b.begin; i1 < b.end; ++i1)
                    for (int64_t i2 = c.begin; i2 < c.end; ++i2)
                        sum += plane[(i0 * pool.in[1] + i1) * pool.in[2] + i2];
            const int64_t count = a.size() * b.size() * c.size();
            if (count == 0) return 0.0f;
            const int64_t all = pool.counts_padding ? a.extent * b.extent * c.extent : count;
            return sum / static_cast<float>(pool.divisor != 0 ? pool.divisor : all);
        });
}

}  // namespace

KernelFunction fold_kernel() { return fold; }
KernelFunction avg_pool_kernel() { return avg_pool; }

KernelFunction max_pool_kernel(ggml_type type) {
    if (type == GGML_TYPE_F32) return max_pool<float>;
    if (type == GGML_TYPE_I32) return max_pool<int32_t>;
    return type == GGML_TYPE_I64 ? max_pool<int64_t> : nullptr;
}

KernelFunction max_pool_index_kernel(ggml_type type) {
    if (type == GGML_TYPE_F32) return max_pool_index<float>;
    if (type == GGML_TYPE_I32) return max_pool_index<int32_t>;
    return type == GGML_TYPE_I64 ? max_pool_index<int64_t> : nullptr;
}

}  // namespace native
