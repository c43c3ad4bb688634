// Products of matrices that lie as they are: [M, K] times [K, N], where the elements of the left side have
// any strides and the rows of the right side, which may be quantised, have no gaps. Nothing is transposed: a
// panel of the right side is copied, or dequantised, into the cache, and the rows of the left side are
// multiplied with it.
#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>

#include "kernels/cpu_kinds.h"
#include "kernels/kernel.h"
#include "kernels/lanes.h"

namespace native {
namespace {

// Loops over what lies in registers must leave no loop.
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

constexpr int64_t panel_width = 48;        // three registers of AVX-512
constexpr int64_t group_elements = 24576;  // of the right side at a time: 96 KiB, a part of the second cache

// A part of a product: `depth` elements of some rows, times a panel that is `width` wide.
struct Block {
    const float* rows;
    int64_t row_stride, depth_stride, num_rows, depth;
    const float* panel;
    int64_t width;
    float* out;
    int64_t out_stride;
    bool adds;  // to what `out` has already
};

template <int lanes, int vectors, int rows>
INLINE void tile(const Block& block, int64_t row, int64_t column) {
    using Vector = typename Lanes<lanes>::Vector;
    Vector sum[rows][vectors];
    UNROLL
    for (int r = 0; r < rows; ++r) UNROLL
    for (int v = 0; v < vectors; ++v) sum[r][v] = Vector{};
    const float* panel = block.panel + column;
    const float* from = block.rows + row * block.row_stride;
    for (int64_t k = 0; k < block.depth; ++k, panel += block.width, from += block.depth_stride) {
        Vector at[vectors];
        UNROLL
        for (int v = 0; v < vectors; ++v) load<lanes>(at[v], panel + v * lanes, lanes, 0);
        UNROLL
        for (int r = 0; r < rows; ++r) {
            const float factor = from[r * block.row_stride];
            UNROLL
            for (int v = 0; v < vectors; ++v) sum[r][v] += at[v] * factor;
        }
    }
    float* out = block.out + row * block.out_stride + column;
    UNROLL
    for (int r = 0; r < rows; ++r) UNROLL
    for (int v = 0; v < vectors; ++v) {
        float* to = out + r * block.out_stride + v * lanes;
        Vector before = {};
        if (block.adds) load<lanes>(before, to, lanes, 0);
        store<lanes>(to, lanes, before + sum[r][v]);
    }
}

template <int lanes, int vectors, int rows>
INLINE void columns(const Block& block, int64_t column) {
    int64_t row = 0;
    for (; row + rows <= block.num_rows; row += rows) tile<lanes, vectors, rows>(block, row, column);
    for (; row + rows / 2 <= block.num_rows; row += rows / 2)
        tile<lanes, vectors, rows / 2>(block, row, column);
    for (; row < block.num_rows; ++row) tile<lanes, vectors, 1>(block, row, column);
}

struct Product {
    template <int lanes>
    INLINE static void apply(const Block& block) {
        if constexpr (lanes == 16) {
            if (block.width == 3 * lanes)
                columns<lanes, 3, 8>(block, 0);
            else if (block.width == 2 * lanes)
                columns<lanes, 2, 8>(block, 0);
            else
                columns<lanes, 1, 8>(block, 0);
        } else {
            for (int64_t column = 0; column < block.width; column += 2 * lanes)
                columns<lanes, 2, 6>(block, column);
        }
    }
};

// What the parameters say: see kernel.h.
struct Operands {
    const int64_t *outer, *left, *right;
    int64_t num_rows, depth, num_columns;
    explicit Operands(const std::vector<int64_t>& params)
        : outer(params.data()),
          left(outer + 5),
          right(outer + 10),
          num_rows(outer[2]),
          depth(outer[3]),
          num_columns(outer[4]) {}
    int64_t left_at(int64_t plane) const {
        return left[0] * (plane / outer[1]) + left[1] * (plane % outer[1]) + left[4];
    }
    int64_t right_at(int64_t plane) const {
        return right[0] * (plane / outer[1]) + right[1] * (plane % outer[1]) + right[3];
    }
};

// Elements [first, first + count) of rows of the right side, panel by panel. `row` holds a row of them.
void fill(const ggml_tensor* src, int64_t first, int64_t stride, int64_t count, int64_t depth, float* row,
          float* panels) {
    const size_t block_bytes = ggml_type_size(src->type);
    const int64_t block = ggml_blck_size(src->type);
    const ggml_to_float_t to_float = ggml_get_type_traits(src->type)->to_float;
    for (int64_t k = 0; k < depth; ++k) {
        const int64_t at = first + k * stride;
        const float* from = row;
        if (src->type == GGML_TYPE_F32)
            from = static_cast<const float*>(src->data) + at;
        else
            to_float(static_cast<const char*>(src->data) + static_cast<size_t>(at / block) * block_bytes, row,
                     count);
        float* to = panels;
        for (int64_t begin = 0; begin < count; begin += panel_width) {
            const int64_t width = std::min(panel_width, count - begin);
            std::memcpy(to + k * width, from + begin, static_cast<size_t>(width) * sizeof(float));
            to += depth * width;
        }
    }
}

// How many columns are done together: whole panels, and whole blocks of a quantised row.
int64_t group_width(const ggml_tensor* right) { return std::lcm(panel_width, ggml_blck_size(right->type)); }

void product(ggml_tensor* dst, int ith, int nth, void* data) {
    const Kernel& kernel = *static_cast<const Kernel*>(data);
    const ggml_tensor *left = dst->src[0], *right = dst->src[1];
    const Operands of(kernel.params);
    const int64_t group = group_width(right);
    const int64_t depth_step = std::clamp<int64_t>(group_elements / group, 64, 512);
    const int64_t groups = (of.num_columns + group - 1) / group, planes = of.outer[0] * of.outer[1];
    // Enough parts for the workers to end together; each fills the panels anew, which has to be worth it.
    const int64_t num_chunks =
        nth == 1 ? 1 : std::clamp<int64_t>(4 * nth / (groups * planes), 1, (of.num_rows + 63) / 64);
    const int64_t chunk = (of.num_rows + num_chunks - 1) / num_chunks;
    const Range parts(planes * groups * num_chunks, ith, nth);
    if (parts.begin == parts.end) return;
    const std::unique_ptr<float[]> memory(
        new (std::nothrow) float[static_cast<size_t>(group * (depth_step + 1))]);
    if (!memory) return kernel.fault->report(FaultKind::memory, kernel.step, 0, 0);
    float *row = memory.get(), *panels = row + group;
    const auto function = for_this_cpu<Product, const Block&>();
    for (int64_t part = parts.begin; part < parts.end; ++part) {
        const int64_t first = part % num_chunks * chunk, end = std::min(first + chunk, of.num_rows);
        const int64_t plane = part / num_chunks / groups, column = part / num_chunks % groups * group;
        const int64_t count = std::min(group, of.num_columns - column);
        if (first >= end) continue;
        for (int64_t k = 0; k < of.depth; k += depth_step) {
            const int64_t depth = std::min(depth_step, of.depth - k);
            fill(right, of.right_at(plane) + k * of.right[2] + column, of.right[2], count, depth, row,
                 panels);
            const float* rows = static_cast<const float*>(left->data) + of.left_at(plane) +
                                first * of.left[2] + k * of.left[3];
            float* out =
                static_cast<float*>(dst->data) + (plane * of.num_rows + first) * of.num_columns + column;
            for (int64_t begin = 0; begin < count; begin += panel_width)
                function({rows, of.left[2], of.left[3], end - first, depth, panels + begin * depth,
                          std::min(panel_width, count - begin), out + begin, of.num_columns, k > 0});
        }
    }
}

}  // namespace

KernelFunction product_kernel() { return product; }

}  // namespace native
