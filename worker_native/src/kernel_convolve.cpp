// Convolution without unfolding: each output position is a sum over taps, and a tap is an offset into the
// arranged input. Positions run over the arranged planes, whose few positions between the rows are computed
// and dropped.
#include <algorithm>
#include <cstring>
#include <utility>

#include "kernel_spatial.h"

namespace native {
namespace {

struct Geometry {
    int64_t groups, channels, taps, batch, num_outputs;  // channels and outputs of one group
    int64_t plane;                                       // elements of one arranged plane
    Triple in, out;
    int64_t positions;  // of a plane, from the first output to the last, those between the rows included
    std::vector<int64_t> offsets;  // of the taps of all channels of one group, in the order of the weights

    explicit Geometry(const ggml_tensor* dst, const std::vector<int64_t>& params)
        : groups(params[0]), in(spatial(dst->src[0])), out(spatial(dst)) {
        const Triple kernel = triple(params, 1), stride = triple(params, 4), dilation = triple(params, 7);
        plane = product(in);
        taps = product(kernel);
        channels = dst->src[1]->ne[0] / taps;
        num_outputs = dst->src[1]->ne[1] / groups;
        batch = dst->ne[3] / (groups * num_outputs);
        positions = ((out[0] - 1) * in[1] + out[1] - 1) * in[2] + out[2];
        offsets.reserve(static_cast<size_t>(channels * taps));
        for (int64_t channel = 0; channel < channels; ++channel)
            for (int64_t tap = 0; tap < taps; ++tap) {
                const Triple at = {tap / (kernel[1] * kernel[2]) * dilation[0],
                                   tap / kernel[2] % kernel[1] * dilation[1], tap % kernel[2] * dilation[2]};
                int64_t phase = 0, place = 0;
                for (size_t axis = 0; axis < 3; ++axis) {
                    phase = phase * stride[axis] + at[axis] % stride[axis];
                    place = place * in[axis] + at[axis] / stride[axis];
                }
                offsets.push_back((channel * product(stride) + phase) * plane + place);
            }
    }
    int64_t num_taps() const { return static_cast<int64_t>(offsets.size()); }
    int64_t group_elements(const ggml_tensor* src) const { return ggml_nelements(src) / (batch * groups); }
};

// Elements that are added and multiplied together.
template <int lanes>
struct Lanes {
    typedef float Vector __attribute__((vector_size(lanes * sizeof(float))));
};

// Sums for `rows` outputs at `vectors` * `lanes` neighbouring positions, kept in registers.
template <int lanes, int vectors, int rows>
[[gnu::always_inline]] inline void sums(float* out, int64_t out_stride, const float* in,
                                        const int64_t* offsets, int64_t num_taps, const float* weights,
                                        const float* bias) {
    using Vector = typename Lanes<lanes>::Vector;
    Vector sum[rows][vectors];
#pragma GCC unroll 16
    for (int row = 0; row < rows; ++row)
#pragma GCC unroll 16
        for (int v = 0; v < vectors; ++v) sum[row][v] = Vector{} + (bias ? bias[row] : 0.0f);
    for (int64_t tap = 0; tap < num_taps; ++tap) {
        Vector at[vectors];
        std::memcpy(at, in + offsets[tap], sizeof at);  // at any address
#pragma GCC unroll 16
        for (int row = 0; row < rows; ++row) {
            const float weight = weights[row * num_taps + tap];
#pragma GCC unroll 16
            for (int v = 0; v < vectors; ++v) sum[row][v] += at[v] * weight;
        }
    }
#pragma GCC unroll 16
    for (int row = 0; row < rows; ++row) std::memcpy(out + row * out_stride, sum[row], sizeof sum[row]);
}

constexpr int64_t max_width = 64;  // positions of one tile
constexpr int max_rows = 8;

using Tile = void (*)(float*, int64_t, const float*, const int64_t*, int64_t, const float*, const float*);

// The tiles for one kind of CPU: of 8, 4, 2 and 1 outputs, all of one width.
struct Tiles {
    int64_t width;
    Tile of_8, of_4, of_2, of_1;
};

#define TILE(name, target, lanes, vectors, rows)                                                       \
    target void name##_##rows(float* out, int64_t out_stride, const float* in, const int64_t* offsets, \
                              int64_t num_taps, const float* weights, const float* bias) {             \
        sums<lanes, vectors, rows>(out, out_stride, in, offsets, num_taps, weights, bias);             \
    }
#define TILES(name, target, lanes, vectors) \
    TILE(name, target, lanes, vectors, 8)   \
    TILE(name, target, lanes, vectors, 4)   \
    TILE(name, target, lanes, vectors, 2)   \
    TILE(name, target, lanes, vectors, 1)   \
    constexpr Tiles name = {lanes * vectors, name##_8, name##_4, name##_2, name##_1};

TILES(any_cpu, , 4, 2)
TILES(one_position, , 1, 1)
#if defined(__x86_64__)
TILES(avx2, [[gnu::target("avx2,fma")]], 8, 1)
TILES(avx512, [[gnu::target("avx512f,avx2,fma")]], 16, 3)
#endif

const Tiles& widest() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2;
#endif
    return any_cpu;
}

// A stretch of a tile that lies in one row of the output.
struct Run {
    int64_t from, to, length;
};

// The runs of positions [begin, begin + width), those between the rows left out.
size_t runs_of(const Geometry& g, int64_t begin, int64_t width, Run* runs) {
    size_t count = 0;
    for (int64_t at = begin; at < begin + width;) {
        const int64_t row = at / g.in[2], column = at % g.in[2];
        const int64_t o0 = row / g.in[1], o1 = row % g.in[1];
        const int64_t length = std::min(g.in[2] - column, begin + width - at);
        if (o1 < g.out[1] && column < g.out[2])
            runs[count++] = {at - begin, (o0 * g.out[1] + o1) * g.out[2] + column,
                             std::min(length, g.out[2] - column)};
        at += length;
    }
    return count;
}

// One output block at one tile of positions.
struct Task {
    const Geometry& g;
    const float* in;  // of the group
    const float* weights;
    const float* bias;  // or null
    float* out;

    void run(const Tiles& tiles, int64_t position, int64_t rows, const Run* runs, size_t num_runs) const {
        alignas(64) float sums[max_rows * max_width];
        const Tile tile = rows == 8   ? tiles.of_8
                          : rows == 4 ? tiles.of_4
                          : rows == 2 ? tiles.of_2
                                      : tiles.of_1;
        tile(sums, tiles.width, in + position, g.offsets.data(), g.num_taps(), weights, bias);
        for (int64_t row = 0; row < rows; ++row)
            for (size_t i = 0; i < num_runs; ++i)
                std::memcpy(out + row * product(g.out) + runs[i].to, sums + row * tiles.width + runs[i].from,
                            static_cast<size_t>(runs[i].length) * sizeof(float));
    }
};

// Neighbouring tiles share the weights of a block of outputs while these are in the nearest cache.
constexpr int64_t tiles_of_band = 4;

void convolve_band(const Geometry& g, const ggml_tensor* dst, int64_t image, int64_t group, int64_t begin,
                   int64_t end, const Tiles& tiles) {
    Run runs[tiles_of_band][max_width];
    size_t num_runs[tiles_of_band];
    int64_t starts[tiles_of_band], num_tiles = 0;
    for (int64_t at = begin; at < end; at += tiles.width, ++num_tiles) {
        // The last tile moves back to end with the plane: it computes some positions again, alike.
        starts[num_tiles] = std::min(at, g.positions - tiles.width);
        num_runs[num_tiles] = runs_of(g, starts[num_tiles], tiles.width, runs[num_tiles]);
    }
    const ggml_tensor* src = dst->src[0];
    const auto* bias = dst->src[2] ? static_cast<const float*>(dst->src[2]->data) : nullptr;
    for (int64_t output = 0; output < g.num_outputs;) {
        const int64_t left = g.num_outputs - output, rows = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
        const int64_t at = group * g.num_outputs + output;
        const Task task = {
            g, static_cast<const float*>(src->data) + (image * g.groups + group) * g.group_elements(src),
            static_cast<const float*>(dst->src[1]->data) + at * g.num_taps(), bias ? bias + at : nullptr,
            static_cast<float*>(dst->data) + (image * g.groups * g.num_outputs + at) * product(g.out)};
        for (int64_t i = 0; i < num_tiles; ++i) task.run(tiles, starts[i], rows, runs[i], num_runs[i]);
        output += rows;
    }
}

void convolve(ggml_tensor* dst, int ith, int nth, void* data) {
    const Geometry g(dst, static_cast<const Kernel*>(data)->params);
    const Tiles& tiles = g.positions >= widest().width ? widest() : one_position;
    const int64_t band = tiles.width * tiles_of_band, num_bands = (g.positions + band - 1) / band;
    const Range range(g.batch * g.groups * num_bands, ith, nth);
    for (int64_t i = range.begin; i < range.end; ++i) {
        const int64_t begin = i % num_bands * band, group = i / num_bands;
        convolve_band(g, dst, group / g.groups, group % g.groups, begin, std::min(begin + band, g.positions),
                      tiles);
    }
}

}  // namespace

KernelFunction convolve_kernel() { return convolve; }

}  // namespace native
