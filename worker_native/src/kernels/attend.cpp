// Attention without a mask: a block of queries at a time, whose scores stay in the cache.
#include <algorithm>
#include <bit>
#include <memory>
#include <new>

#include "kernels/cpu_kinds.h"
#include "kernels/exponential.h"
#include "kernels/kernel.h"

namespace native {
namespace {

// Loops over what lies in registers must leave no loop.
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

constexpr int64_t panel_width = 32;    // keys that are packed side by side
constexpr int64_t block_queries = 64;  // 128 KiB of scores of 512 keys, a part of the second cache

// A matrix in rows that lie `stride` elements apart.
template <class T>
struct Matrix {
    T* data;
    int64_t stride;
};

// `rows` rows of a product at 2 * lanes neighbouring columns, of which `count` are stored.
template <int lanes, int rows>
INLINE void tile(Matrix<const float> a, Matrix<const float> b, int64_t depth, int64_t count,
                 Matrix<float> out) {
    using Vector = typename Lanes<lanes>::Vector;
    Vector sum[rows][2] = {};
    for (int64_t k = 0; k < depth; ++k) {
        Vector at[2];
        UNROLL
        for (int v = 0; v < 2; ++v)
            load<lanes>(at[v], b.data + k * b.stride + v * lanes, count - v * lanes, 0);
        UNROLL
        for (int row = 0; row < rows; ++row) {
            const float factor = a.data[row * a.stride + k];
            UNROLL
            for (int v = 0; v < 2; ++v) sum[row][v] += at[v] * factor;
        }
    }
    UNROLL
    for (int row = 0; row < rows; ++row) UNROLL
    for (int v = 0; v < 2; ++v)
        store<lanes>(out.data + row * out.stride + v * lanes, count - v * lanes, sum[row][v]);
}

// The columns [0, count) of a product, of up to one panel of the right side.
template <int lanes, int rows>
INLINE void tile_rows(Matrix<const float> a, int64_t num_rows, Matrix<const float> b, int64_t depth,
                      int64_t count, Matrix<float> out) {
    const auto some = [&](auto how_many, int64_t row) {
        const Matrix<const float> left = {a.data + row * a.stride, a.stride};
        const Matrix<float> to = {out.data + row * out.stride, out.stride};
        if (count == 2 * lanes)
            tile<lanes, how_many.value>(left, b, depth, 2 * lanes, to);
        else
            tile<lanes, how_many.value>(left, b, depth, count, to);
    };
    int64_t row = 0;
    for (; row + rows <= num_rows; row += rows) some(std::integral_constant<int, rows>{}, row);
    for (; row < num_rows; ++row) some(std::integral_constant<int, 1>{}, row);
}

// A worker's own memory: keys in panels [panel][element][panel_width], scaled, and scores.
struct Room {
    float* keys;
    Matrix<float> scores;
};

struct Head {
    Matrix<const float> query, value;
    Matrix<float> out;
    int64_t num_queries, num_keys, width, value_width;
};

template <int lanes, int rows>
INLINE void attend_block(const Head& head, const Room& room) {
    const auto product = [](Matrix<const float> a, int64_t num_rows, Matrix<const float> b, int64_t depth,
                            int64_t num_columns, Matrix<float> out) {
        for (int64_t at = 0; at < num_columns; at += 2 * lanes)
            tile_rows<lanes, rows>(a, num_rows, {b.data + at, b.stride}, depth,
                                   std::min<int64_t>(2 * lanes, num_columns - at),
                                   {out.data + at, out.stride});
    };
    for (int64_t key = 0; key < head.num_keys; key += panel_width)
        product(head.query, head.num_queries, {room.keys + key * head.width, panel_width}, head.width,
                panel_width, {room.scores.data + key, room.scores.stride});
    for (int64_t row = 0; row < head.num_queries; ++row) {
        float* scores = room.scores.data + row * room.scores.stride;
        softmax_row<lanes, false>(scores, head.num_keys, scores);
    }
    product({room.scores.data, room.scores.stride}, head.num_queries, head.value, head.num_keys,
            head.value_width, head.out);
}

struct Attend {
    template <int lanes>
    INLINE static void apply(const Head& head, const Room& room) {
        attend_block<lanes, lanes == 16 ? 8 : 4>(head, room);
    }
};

int64_t padded(int64_t num_keys) { return (num_keys + panel_width - 1) / panel_width * panel_width; }

// The rows of one head; several heads of the query may share one of keys and values.
Matrix<const float> rows_of(const ggml_tensor* t, int64_t head, int64_t batch, int64_t num_heads) {
    const auto offset =
        static_cast<size_t>(head / (num_heads / t->ne[2])) * t->nb[2] + static_cast<size_t>(batch) * t->nb[3];
    return {reinterpret_cast<const float*>(static_cast<const char*>(t->data) + offset),
            static_cast<int64_t>(t->nb[1] / sizeof(float))};
}

void pack(Matrix<const float> keys, int64_t num_keys, int64_t width, float scale, float* out) {
    for (int64_t first = 0; first < num_keys; first += panel_width)
        for (int64_t at = 0; at < panel_width; ++at)
            for (int64_t k = 0; k < width; ++k)
                out[(first * width) + k * panel_width + at] =
                    first + at < num_keys ? keys.data[(first + at) * keys.stride + k] * scale : 0.0f;
}

void attend(ggml_tensor* dst, int ith, int nth, void* data) {
    const Kernel& kernel = *static_cast<const Kernel*>(data);
    const ggml_tensor *q = dst->src[0], *k = dst->src[1], *v = dst->src[2];
    const float scale = static_cast<float>(std::bit_cast<double>(kernel.params[0]));
    const int64_t width = q->ne[0], num_keys = k->ne[1], num_heads = q->ne[2];
    const int64_t blocks = (q->ne[1] + block_queries - 1) / block_queries;
    const Range parts(blocks * num_heads * q->ne[3], ith, nth);
    if (parts.begin == parts.end) return;
    const int64_t stride = padded(num_keys);
    const std::unique_ptr<float[]> scratch(
        new (std::nothrow) float[static_cast<size_t>(stride * (width + block_queries))]);
    if (!scratch) return kernel.fault->report(FaultKind::memory, kernel.step, 0, 0);
    const auto function = for_this_cpu<Attend, const Head&, const Room&>();
    const Room room = {scratch.get(), {scratch.get() + stride * width, stride}};
    for (int64_t part = parts.begin; part < parts.end; ++part) {
        const int64_t plane = part / blocks, head = plane % num_heads, batch = plane / num_heads;
        const int64_t first = part % blocks * block_queries;
        if (part == parts.begin || first == 0)
            pack(rows_of(k, head, batch, num_heads), num_keys, width, scale, room.keys);
        const Matrix<const float> query = rows_of(q, head, batch, num_heads);
        float* out = static_cast<float*>(dst->data) + (plane * q->ne[1] + first) * v->ne[0];
        function({{query.data + first * query.stride, query.stride},
                  rows_of(v, head, batch, num_heads),
                  {out, v->ne[0]},
                  std::min(block_queries, q->ne[1] - first),
                  num_keys,
                  width,
                  v->ne[0]},
                 room);
    }
}

}  // namespace

KernelFunction attend_kernel() { return attend; }

}  // namespace native
