#include <algorithm>
#include <cstring>

#include "kernels/kernel.h"

namespace native {
namespace {

// A strided pattern, outermost axis first, as read from the parameters of a copy.
struct Pattern {
    int64_t num_axes;
    const int64_t* shape;
    const int64_t* strides;
    int64_t offset;

    explicit Pattern(const Kernel& kernel)
        : num_axes(kernel.params[0]),
          shape(kernel.params.data() + 1),
          strides(shape + num_axes),
          offset(strides[num_axes]) {}

    // Where element `index` of the axes [0, end) lies, the later axes at 0.
    int64_t locate(int64_t index, int64_t end) const {
        int64_t at = offset;
        for (int64_t axis = end; axis-- > 0; index /= shape[axis]) at += index % shape[axis] * strides[axis];
        return at;
    }
};

constexpr int64_t tile = 16;

// One whole tile, turned in registers and the nearest cache: both sides are touched in whole lines.
template <class T>
void copy_tile(T* to, const T* from, int64_t columns, int64_t stride) {
    T turned[tile * tile];
    for (int64_t j = 0; j < tile; ++j)
        for (int64_t i = 0; i < tile; ++i) turned[i * tile + j] = from[i + j * stride];
    for (int64_t i = 0; i < tile; ++i) std::memcpy(to + i * columns, turned + i * tile, tile * sizeof(T));
}

// The last two axes are the other way round in the source: copied in tiles, so that both sides use the cache.
template <class T>
void copy_transposed(T* out, const T* in, const Pattern& p, int ith, int nth) {
    const int64_t rows = p.shape[p.num_axes - 2], columns = p.shape[p.num_axes - 1];
    const int64_t stride = p.strides[p.num_axes - 1];
    int64_t num_planes = 1;
    for (int64_t axis = 0; axis < p.num_axes - 2; ++axis) num_planes *= p.shape[axis];
    const int64_t bands = (rows + tile - 1) / tile;
    const Range range(num_planes * bands, ith, nth);
    for (int64_t band = range.begin; band < range.end; ++band) {
        const T* from = in + p.locate(band / bands, p.num_axes - 2);
        T* to = out + band / bands * rows * columns;
        const int64_t row_begin = band % bands * tile, row_end = std::min(rows, row_begin + tile);
        for (int64_t column = 0; column < columns; column += tile) {
            const int64_t column_end = std::min(columns, column + tile);
            if (row_end - row_begin == tile && column_end - column == tile) {
                copy_tile(to + row_begin * columns + column, from + row_begin + column * stride, columns,
                          stride);
                continue;
            }
            for (int64_t i = row_begin; i < row_end; ++i)
                for (int64_t j = column; j < column_end; ++j) to[i * columns + j] = from[i + j * stride];
        }
    }
}

template <class T>
void copy_rows(T* out, const T* in, const Pattern& p, int ith, int nth) {
    const int64_t columns = p.shape[p.num_axes - 1], stride = p.strides[p.num_axes - 1];
    int64_t num_rows = 1;
    for (int64_t axis = 0; axis < p.num_axes - 1; ++axis) num_rows *= p.shape[axis];
    const Range range(num_rows * columns, ith, nth);
    for (int64_t i = range.begin; i < range.end;) {
        const int64_t column = i % columns, end = std::min(columns, column + range.end - i);
        const T* from = in + p.locate(i / columns, p.num_axes - 1);
        T* to = out + i / columns * columns;
        if (stride == 1)
            std::copy(from + column, from + end, to + column);
        else
            for (int64_t j = column; j < end; ++j) to[j] = from[j * stride];
        i += end - column;
    }
}

template <class T>
void copy(ggml_tensor* dst, int ith, int nth, void* data) {
    const Pattern p(*static_cast<const Kernel*>(data));
    T* out = static_cast<T*>(dst->data);
    const T* in = static_cast<const T*>(dst->src[0]->data);
    if (p.num_axes >= 2 && p.strides[p.num_axes - 2] == 1 && p.strides[p.num_axes - 1] != 1)
        copy_transposed(out, in, p, ith, nth);
    else
        copy_rows(out, in, p, ith, nth);
}

// The index if it lies in [0, limit), else 0 and a report. A negative one counts from the end if it may.
int64_t checked(int64_t index, int64_t limit, bool may_wrap, const Kernel& kernel) {
    const int64_t wrapped = may_wrap && index < 0 ? index + limit : index;
    if (wrapped >= 0 && wrapped < limit) return wrapped;
    kernel.fault->report(FaultKind::index, kernel.step, index, limit);
    return 0;
}

template <class T>
void gather(ggml_tensor* dst, int ith, int nth, void* data) {
    const Kernel& kernel = *static_cast<const Kernel*>(data);
    const ggml_tensor* src = dst->src[0];
    const auto* indices = static_cast<const int64_t*>(dst->src[1]->data);
    const Range rows(ggml_nrows(dst), ith, nth);
    for (int64_t row = rows.begin; row < rows.end; ++row)
        for (int64_t i = row * dst->ne[0]; i < (row + 1) * dst->ne[0]; ++i) {
            const int64_t at = checked(indices[i], src->ne[0], false, kernel);
            static_cast<T*>(dst->data)[i] = static_cast<const T*>(src->data)[row * src->ne[0] + at];
        }
}

void take(ggml_tensor* dst, int ith, int nth, void* data) {
    const Kernel& kernel = *static_cast<const Kernel*>(data);
    const ggml_tensor* src = dst->src[0];
    const auto* indices = static_cast<const int64_t*>(dst->src[1]->data);
    const size_t row_bytes = static_cast<size_t>(dst->ne[0]) * ggml_type_size(dst->type);
    const Range rows(dst->ne[1] * dst->ne[2], ith, nth);
    for (int64_t row = rows.begin; row < rows.end; ++row) {
        const int64_t at = checked(indices[row % dst->ne[1]], src->ne[1], kernel.params[0] != 0, kernel);
        const int64_t from = row / dst->ne[1] * src->ne[1] + at;
        std::memcpy(static_cast<char*>(dst->data) + row * row_bytes,
                    static_cast<const char*>(src->data) + from * row_bytes, row_bytes);
    }
}

// Only the first worker asks whether a run goes on, before it waits for the others: a fault that one of them
// found would come too late to keep the next step from writing to place 0. So the first checks all.
void check_indices(ggml_tensor* dst, int ith, int, void* data) {
    if (ith != 0) return;
    const Kernel& kernel = *static_cast<const Kernel*>(data);
    const auto* indices = static_cast<const int64_t*>(dst->src[0]->data);
    const int64_t count = ggml_nelements(dst);
    for (int64_t i = 0; i < count; ++i)
        static_cast<int32_t*>(dst->data)[i] =
            static_cast<int32_t>(checked(indices[i], kernel.params[0], kernel.params[1] != 0, kernel));
}

}  // namespace

KernelFunction copy_kernel(ggml_type type) {
    if (ggml_blck_size(type) != 1) return nullptr;
    switch (ggml_type_size(type)) {
        case 1:
            return copy<uint8_t>;
        case 2:
            return copy<uint16_t>;
        case 4:
            return copy<uint32_t>;
        case 8:
            return copy<uint64_t>;
        default:
            return nullptr;
    }
}

KernelFunction gather_kernel(ggml_type type) {
    if (ggml_blck_size(type) != 1) return nullptr;
    switch (ggml_type_size(type)) {
        case 2:
            return gather<uint16_t>;
        case 4:
            return gather<uint32_t>;
        case 8:
            return gather<uint64_t>;
        default:
            return nullptr;
    }
}

KernelFunction take_kernel() { return take; }
KernelFunction index_kernel() { return check_indices; }

}  // namespace native
