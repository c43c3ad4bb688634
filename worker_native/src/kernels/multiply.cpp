// Products of rows with rows, in float32: one side is packed so that as many of its rows as a few registers
// hold lie side by side, element by element; of the other side a few rows are read where they lie.
#include <algorithm>
#include <memory>
#include <new>

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

constexpr int64_t panel_width = 48;  // three registers of AVX-512
constexpr int64_t width_step = 16;   // a panel is a multiple of that wide
// Elements of a row that are multiplied before the next block of outputs: a panel of them, 96 KiB, stays in
// the second cache. Measured on an AMD EPYC with 1 MiB of it.
constexpr int64_t depth_step = 512;

int64_t padded(int64_t num_rows) { return (num_rows + width_step - 1) / width_step * width_step; }

// A product's block: `depth` elements of a panel, which is `width` wide, and of some rows of the other side.
struct Block {
    const float* panel;
    int64_t width;
    const float* rows;
    int64_t row_stride, num_rows, depth;
    float* sums;  // [num_rows][panel_width], which already have what comes before
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
    for (int64_t k = 0; k < block.depth; ++k, panel += block.width) {
        Vector at[vectors];
        UNROLL
        for (int v = 0; v < vectors; ++v) load<lanes>(at[v], panel + v * lanes, lanes, 0);
        UNROLL
        for (int r = 0; r < rows; ++r) {
            const float factor = from[r * block.row_stride + k];
            UNROLL
            for (int v = 0; v < vectors; ++v) sum[r][v] += at[v] * factor;
        }
    }
    // A sum of sums: one after the other, the last of many products would be rounded to what all of them add
    // up to.
    float* sums = block.sums + row * panel_width + column;
    UNROLL
    for (int r = 0; r < rows; ++r) UNROLL
    for (int v = 0; v < vectors; ++v) {
        Vector before;
        load<lanes>(before, sums + r * panel_width + v * lanes, lanes, 0);
        store<lanes>(sums + r * panel_width + v * lanes, lanes, before + sum[r][v]);
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

struct Multiply {
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

// [num_rows][n] of `out` become the sums, which lie the other way round.
void store_turned(const float* sums, int64_t count, int64_t num_rows, float* out, int64_t out_stride) {
    for (int64_t i = 0; i < count; ++i)
        for (int64_t row = 0; row < num_rows; ++row) out[i * out_stride + row] = sums[row * panel_width + i];
}

constexpr int64_t block_rows = 24;  // whole tiles of 8 rows, and of 6

// The outputs [first, end) of the rows in one panel.
void multiply_part(const ggml_tensor* dst, int64_t panel, int64_t first, int64_t end, float* sums) {
    const ggml_tensor *packed = dst->src[0], *weight = dst->src[1], *bias = dst->src[2];
    const int64_t depth = weight->ne[0], num_outputs = weight->ne[1],
                  num_rows = ggml_nelements(dst) / num_outputs;
    const int64_t begin = panel * panel_width, width = std::min(panel_width, padded(num_rows) - begin);
    const auto function = for_this_cpu<Multiply, const Block&>();
    const auto* values = bias ? static_cast<const float*>(bias->data) : nullptr;
    for (int64_t row = first; row < end; ++row)
        std::fill_n(sums + (row - first) * panel_width, panel_width, values ? values[row] : 0.0f);
    for (int64_t k = 0; k < depth; k += depth_step)
        for (int64_t row = first; row < end; row += block_rows) {
            const int64_t count = std::min(block_rows, end - row);
            float* at = sums + (row - first) * panel_width;
            function({static_cast<const float*>(packed->data) + begin * depth + k * width, width,
                      static_cast<const float*>(weight->data) + row * depth + k, depth, count,
                      std::min(depth_step, depth - k), at});
            if (k + depth_step >= depth)
                store_turned(at, std::min(width, num_rows - begin), count,
                             static_cast<float*>(dst->data) + begin * num_outputs + row, num_outputs);
        }
}

void multiply(ggml_tensor* dst, int ith, int nth, void* data) {
    const Kernel& kernel = *static_cast<const Kernel*>(data);
    const int64_t num_outputs = dst->src[1]->ne[1], num_rows = ggml_nelements(dst) / num_outputs;
    const int64_t panels = (num_rows + panel_width - 1) / panel_width;
    const int64_t blocks = (num_outputs + block_rows - 1) / block_rows;
    // Enough parts for the workers to end together.
    const int64_t num_chunks = std::clamp<int64_t>(8 * nth / panels, 1, blocks);
    const int64_t chunk = (blocks + num_chunks - 1) / num_chunks * block_rows;
    const Range parts(panels * num_chunks, ith, nth);
    if (parts.begin == parts.end) return;
    const std::unique_ptr<float[]> sums(new (std::nothrow) float[static_cast<size_t>(chunk * panel_width)]);
    if (!sums) return kernel.fault->report(FaultKind::memory, kernel.step, 0, 0);
    for (int64_t part = parts.begin; part < parts.end; ++part) {
        const int64_t first = part % num_chunks * chunk;
        if (first < num_outputs)
            multiply_part(dst, part / num_chunks, first, std::min(first + chunk, num_outputs), sums.get());
    }
}

// Each worker packs some panels. What fills the last one are zeros.
void pack(ggml_tensor* dst, int ith, int nth, void*) {
    const ggml_tensor* src = dst->src[0];
    const int64_t depth = src->ne[0], num_rows = ggml_nelements(src) / depth;
    const auto* from = static_cast<const float*>(src->data);
    constexpr int64_t piece =
        16;  // elements of each row that are moved before those of the next: a cache line
    const int64_t pieces = (depth + piece - 1) / piece;
    const Range parts((num_rows + panel_width - 1) / panel_width * pieces, ith, nth);
    for (int64_t part = parts.begin; part < parts.end; ++part) {
        const int64_t begin = part / pieces * panel_width, k = part % pieces * piece;
        const int64_t width = std::min(panel_width, padded(num_rows) - begin);
        const int64_t count = std::min(piece, depth - k), filled = std::min(width, num_rows - begin);
        float* to = static_cast<float*>(dst->data) + begin * depth + k * width;
        for (int64_t row = 0; row < filled; ++row)
            for (int64_t i = 0; i < count; ++i) to[i * width + row] = from[(begin + row) * depth + k + i];
        for (int64_t i = 0; i < count; ++i) std::fill(to + i * width + filled, to + (i + 1) * width, 0.0f);
    }
}

}  // namespace

int64_t packed_elements(int64_t depth, int64_t num_rows) { return depth * padded(num_rows); }

bool pays_to_pack() {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") ||
           (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
#else
    return false;
#endif
}

KernelFunction pack_kernel() { return pack; }
KernelFunction multiply_kernel() { return multiply; }

}  // namespace native
