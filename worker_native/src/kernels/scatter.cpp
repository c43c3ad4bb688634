#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "kernels/kernel.h"

namespace native {
namespace {

// How a scatter combines the element that is there with the one that comes.
template <class T>
T put(T, T y) {
    return y;
}
template <class T>
T add(T x, T y) {
    if constexpr (std::is_integral_v<T>)
        return static_cast<T>(std::make_unsigned_t<T>(x) + std::make_unsigned_t<T>(y));
    return x + y;
}
template <class T>
T multiply(T x, T y) {
    if constexpr (std::is_integral_v<T>)
        return static_cast<T>(std::make_unsigned_t<T>(x) * std::make_unsigned_t<T>(y));
    return x * y;
}
// The part of the result that one worker writes: columns [lane] of all planes, or places [place] along the
// scattered axis. A worker sees every index of its part in order, so equal indices give the same result for
// any number of threads.
struct Part {
    Range lane, place;
    Part(int64_t num_lanes, int64_t num_places, int ith, int nth)
        : lane(num_lanes, num_lanes < nth ? 0 : ith, num_lanes < nth ? 1 : nth),
          place(num_places, num_lanes < nth ? ith : 0, num_lanes < nth ? nth : 1) {}
};

template <class T, auto combine>
void scatter(ggml_tensor* dst, int ith, int nth, void* data) {
    const Kernel& kernel = *static_cast<const Kernel*>(data);
    const ggml_tensor *base = dst->src[0], *indices = dst->src[1], *src = dst->src[2];
    const int64_t inner = dst->ne[0], count = dst->ne[1], num = src->ne[1];
    const bool is_shared = ggml_nelements(indices) != ggml_nelements(src);
    const bool may_wrap = kernel.params[0] != 0;
    const auto* places = static_cast<const int64_t*>(indices->data);
    const T* in = static_cast<const T*>(src->data);
    const Part part(inner * dst->ne[2], count, ith, nth);
    for (int64_t lane = part.lane.begin; lane < part.lane.end;) {
        const int64_t plane = lane / inner, begin = lane % inner;
        const int64_t end = std::min(inner, begin + part.lane.end - lane);
        T* out = static_cast<T*>(dst->data) + plane * count * inner;
        const T* old = static_cast<const T*>(base->data) + plane * count * inner;
        for (int64_t at = part.place.begin; at < part.place.end; ++at)
            std::copy(old + at * inner + begin, old + at * inner + end, out + at * inner + begin);
        for (int64_t j = 0; j < num; ++j) {
            const int64_t row = (plane * num + j) * inner;
            for (int64_t column = begin; column < end; ++column) {
                int64_t at = is_shared ? places[j] : places[row + column];
                if (may_wrap && at < 0) at += count;
                if (at < 0 || at >= count)
                    kernel.fault->report(FaultKind::index, kernel.step, at, count);
                else if (at >= part.place.begin && at < part.place.end)
                    out[at * inner + column] = combine(out[at * inner + column], in[row + column]);
            }
        }
        lane += end - begin;
    }
}

// A pattern of falling strides: its elements lie in the order of their addresses.
struct Steps {
    int64_t num_axes;
    const int64_t* shape;
    const int64_t* strides;
    int64_t offset;

    explicit Steps(const Kernel& kernel)
        : num_axes(kernel.params[0]),
          shape(kernel.params.data() + 1),
          strides(shape + num_axes),
          offset(strides[num_axes]) {}

    int64_t locate(int64_t index) const {
        int64_t at = offset;
        for (int64_t axis = num_axes; axis-- > 0; index /= shape[axis])
            at += index % shape[axis] * strides[axis];
        return at;
    }
    // The first element that lies at or behind `address`.
    int64_t first_at(int64_t address, int64_t num) const {
        int64_t low = 0, high = num;
        while (low < high) {
            const int64_t middle = low + (high - low) / 2;
            if (locate(middle) < address)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }
};

template <class T>
void paste(ggml_tensor* dst, int ith, int nth, void* data) {
    const Steps steps(*static_cast<const Kernel*>(data));
    const T* in = static_cast<const T*>(dst->src[1]->data);
    const T* old = static_cast<const T*>(dst->src[0]->data);
    T* out = static_cast<T*>(dst->data);
    const int64_t num = ggml_nelements(dst->src[1]);
    const int64_t columns = steps.shape[steps.num_axes - 1], stride = steps.strides[steps.num_axes - 1];
    const Range range(ggml_nelements(dst), ith, nth);
    std::copy(old + range.begin, old + range.end, out + range.begin);
    const int64_t last = steps.first_at(range.end, num);
    for (int64_t i = steps.first_at(range.begin, num); i < last;) {
        const int64_t run = std::min(last - i, columns - i % columns);
        T* to = out + steps.locate(i);
        for (int64_t j = 0; j < run; ++j) to[j * stride] = in[i + j];
        i += run;
    }
}

// The first place before which `value` may be put: behind all smaller elements, or (right) behind equal ones
// too. As in PyTorch a NaN comes behind everything.
template <class T>
int64_t place_of(const T* row, int64_t n, T value, bool is_right) {
    int64_t low = 0, high = n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (is_right ? !(row[middle] > value) : !(row[middle] >= value))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

template <class T>
void search(ggml_tensor* dst, int ith, int nth, void* data) {
    const bool is_right = static_cast<const Kernel*>(data)->params[0] != 0;
    const ggml_tensor *values = dst->src[0], *sorted = dst->src[1];
    const int64_t n = sorted->ne[0];
    const bool is_shared = ggml_nrows(sorted) == 1;
    const Range range(ggml_nelements(dst), ith, nth);
    for (int64_t i = range.begin; i < range.end; ++i) {
        const T* row = static_cast<const T*>(sorted->data) + (is_shared ? 0 : i / dst->ne[0] * n);
        static_cast<int64_t*>(dst->data)[i] =
            place_of(row, n, static_cast<const T*>(values->data)[i], is_right);
    }
}

#define SCATTER(name, T, function) \
    KernelEntry { name, 3, type_for<T>, type_for<T>, scatter<T, function<T>> }
#define SCATTERS(T)                                                                   \
    SCATTER("put", T, put), SCATTER("add", T, add), SCATTER("multiply", T, multiply), \
        SCATTER("max", T, larger), SCATTER("min", T, smaller)

const KernelEntry scatters[] = {
    SCATTERS(float),
    SCATTERS(int32_t),
    SCATTERS(int64_t),
    {"put", 3, GGML_TYPE_F16, GGML_TYPE_F16, scatter<uint16_t, put<uint16_t>>},
    {"put", 3, GGML_TYPE_BF16, GGML_TYPE_BF16, scatter<uint16_t, put<uint16_t>>},
};

const KernelEntry searches[] = {
    {"ascending", 2, GGML_TYPE_F32, GGML_TYPE_I64, search<float>},
    {"ascending", 2, GGML_TYPE_I32, GGML_TYPE_I64, search<int32_t>},
    {"ascending", 2, GGML_TYPE_I64, GGML_TYPE_I64, search<int64_t>},
};

}  // namespace

std::span<const KernelEntry> scatter_kernels() { return scatters; }
std::span<const KernelEntry> search_kernels() { return searches; }

KernelFunction paste_kernel(ggml_type type) {
    if (ggml_blck_size(type) != 1) return nullptr;
    switch (ggml_type_size(type)) {
        case 2:
            return paste<uint16_t>;
        case 4:
            return paste<uint32_t>;
        case 8:
            return paste<uint64_t>;
        default:
            return nullptr;
    }
}

}  // namespace native
