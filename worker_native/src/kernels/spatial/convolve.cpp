// Convolution without unfolding: each output position is a sum over taps, and a tap is an offset into the
// arranged input. Positions run over the arranged planes, whose few positions between the rows are computed
// and dropped.
#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/spatial/spatial.h"

namespace native {
namespace {

struct Geometry {
    int64_t groups, channels, taps, batch, num_outputs;  // channels and outputs of one group
    int64_t plane;                                       // elements of one arranged plane
    Triple in, out;
    int64_t positions;  // in a plane, from the first output to the last, with those between the rows
    std::vector<int64_t> offsets;  // where the taps of a group's channels lie, in the order of the weights

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

// Neighbouring elements in a register.
template <int lanes>
struct Lanes {
    typedef float Vector __attribute__((vector_size(lanes * sizeof(float))));
};

// The same at any address.
template <int lanes>
struct [[gnu::packed, gnu::may_alias]] Loose {
    typename Lanes<lanes>::Vector elements;
};

// Loops over what lies in registers must leave no loop.
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

// Sums for `rows` outputs at `vectors` * `lanes` neighbouring positions, kept in registers.
template <int lanes, int vectors, int rows>
[[gnu::always_inline]] inline void sums(float* out, int64_t out_stride, const float* in,
                                        const int64_t* offsets, int64_t num_taps, const float* weights,
                                        const float* bias) {
    using Vector = typename Lanes<lanes>::Vector;
    Vector sum[rows][vectors];
    UNROLL
    for (int row = 0; row < rows; ++row) UNROLL
    for (int v = 0; v < vectors; ++v) sum[row][v] = Vector{} + (bias ? bias[row] : 0.0f);
    for (int64_t tap = 0; tap < num_taps; ++tap) {
        const auto* x = reinterpret_cast<const Loose<lanes>*>(in + offsets[tap]);
        Vector at[vectors];
        UNROLL
        for (int v = 0; v < vectors; ++v) at[v] = x[v].elements;
        UNROLL
        for (int row = 0; row < rows; ++row) {
            const float weight = weights[row * num_taps + tap];
            UNROLL
            for (int v = 0; v < vectors; ++v) sum[row][v] += at[v] * weight;
        }
    }
    UNROLL
    for (int row = 0; row < rows; ++row) UNROLL
    for (int v = 0; v < vectors; ++v)
        reinterpret_cast<Loose<lanes>*>(out + row * out_stride)[v].elements = sum[row][v];
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

TILES(single, , 1, 1)
TILES(plain_narrow, , 4, 1)
TILES(plain_wide, , 4, 2)
#if defined(__x86_64__)
TILES(avx2_narrow, [[gnu::target("avx2,fma")]], 8, 1)
TILES(avx512_narrow, [[gnu::target("avx512f,avx2,fma")]], 16, 1)
TILES(avx512_wide, [[gnu::target("avx512f,avx2,fma")]], 16, 3)
#endif

// The tiles of this CPU for many positions, and for few.
struct Choice {
    const Tiles &wide, &narrow;
};

Choice choice() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return {avx512_wide, avx512_narrow};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {avx2_narrow, avx2_narrow};
#endif
    return {plain_wide, plain_narrow};
}

// The tiles for `left` more positions of a plane.
const Tiles& tiles_for(int64_t left, int64_t positions) {
    const Choice tiles = choice();
    if (positions >= tiles.wide.width && left > 2 * tiles.narrow.width) return tiles.wide;
    return positions >= tiles.narrow.width ? tiles.narrow : single;
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
    const float* in;  // the planes of the group
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
constexpr int64_t band_width = 192;
constexpr size_t max_tiles = band_width / 4;  // no tile but the single one is narrower

struct Placed {
    const Tiles* tiles;
    int64_t start;
    size_t num_runs;
    Run runs[max_width];
};

// The tiles of positions [begin, end). The last one of a plane moves back: it computes some positions again,
// alike.
size_t place_tiles(const Geometry& g, int64_t begin, int64_t end, Placed* placed) {
    size_t count = 0;
    for (int64_t at = begin; at < end; ++count) {
        Placed& here = placed[count];
        here.tiles = &tiles_for(end - at, g.positions);
        here.start = std::min(at, g.positions - here.tiles->width);
        here.num_runs = runs_of(g, here.start, here.tiles->width, here.runs);
        at = here.start + here.tiles->width;
    }
    return count;
}

// The work that one worker does at a time: some outputs of a group, at some positions of an image.
struct Part {
    int64_t image, group, first_output, end_output, begin, end;
};

void convolve_part(const Geometry& g, const ggml_tensor* dst, const Part& part) {
    Placed placed[max_tiles];
    const size_t num_tiles = place_tiles(g, part.begin, part.end, placed);
    const ggml_tensor* src = dst->src[0];
    const auto* bias = dst->src[2] ? static_cast<const float*>(dst->src[2]->data) : nullptr;
    const int64_t plane = part.image * g.groups + part.group;
    const float* in = static_cast<const float*>(src->data) + plane * g.group_elements(src);
    for (int64_t output = part.first_output; output < part.end_output;) {
        const int64_t left = part.end_output - output, rows = left >= 8   ? 8
                                                              : left >= 4 ? 4
                                                              : left >= 2 ? 2
                                                                          : 1;
        const int64_t at = part.group * g.num_outputs + output;
        const float* weights = static_cast<const float*>(dst->src[1]->data) + at * g.num_taps();
        float* out = static_cast<float*>(dst->data) + (plane * g.num_outputs + output) * product(g.out);
        const Task task = {g, in, weights, bias ? bias + at : nullptr, out};
        for (size_t i = 0; i < num_tiles; ++i)
            task.run(*placed[i].tiles, placed[i].start, rows, placed[i].runs, placed[i].num_runs);
        output += rows;
    }
}

void convolve(ggml_tensor* dst, int ith, int nth, void* data) {
    const Geometry g(dst, static_cast<const Kernel*>(data)->params);
    const int64_t num_bands = (g.positions + band_width - 1) / band_width;
    const int64_t planes = g.batch * g.groups, blocks = (g.num_outputs + max_rows - 1) / max_rows;
    // Enough parts for the workers to end together, each with as many outputs as that allows.
    const int64_t num_chunks = std::clamp<int64_t>(8 * nth / (planes * num_bands), 1, blocks);
    const int64_t chunk = (blocks + num_chunks - 1) / num_chunks * max_rows;
    const Range parts(planes * num_chunks * num_bands, ith, nth);
    for (int64_t i = parts.begin; i < parts.end; ++i) {
        const int64_t begin = i % num_bands * band_width, rest = i / num_bands;
        const int64_t first = rest % num_chunks * chunk, plane = rest / num_chunks;
        convolve_part(g, dst,
                      {plane / g.groups, plane % g.groups, first, std::min(first + chunk, g.num_outputs),
                       begin, std::min(begin + band_width, g.positions)});
    }
}

}  // namespace

KernelFunction convolve_kernel() { return convolve; }

}  // namespace native
