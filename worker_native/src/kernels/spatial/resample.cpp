#include "kernels/spatial/spatial.h"

namespace native {
namespace {

struct Taps {
    const int64_t* places;  // [m, taps]: those of one result element lie m apart
    const float* weights;
    int64_t count, apart;
};

// One result row of single elements: the axis is the innermost one.
void blend_elements(float* out, const float* row, int64_t m, const Taps& taps) {
    for (int64_t i = 0; i < m; ++i) out[i] = row[taps.places[i]] * taps.weights[i];
    for (int64_t tap = 1; tap < taps.count; ++tap)
        for (int64_t i = 0; i < m; ++i)
            out[i] += row[taps.places[tap * taps.apart + i]] * taps.weights[tap * taps.apart + i];
}

// One result row of `inner` neighbours.
void blend_rows(float* out, const float* rows, int64_t inner, const Taps& taps) {
    for (int64_t tap = 0; tap < taps.count; ++tap) {
        const float* row = rows + taps.places[tap * taps.apart] * inner;
        const float weight = taps.weights[tap * taps.apart];
        if (tap == 0)
            for (int64_t i = 0; i < inner; ++i) out[i] = row[i] * weight;
        else
            for (int64_t i = 0; i < inner; ++i) out[i] += row[i] * weight;
    }
}

// The indices are part of the program, but they are data to it: the first bad one is reported.
bool are_places(const ggml_tensor* places, int64_t limit, const Kernel& kernel) {
    const auto* index = static_cast<const int64_t*>(places->data);
    for (int64_t i = 0; i < ggml_nelements(places); ++i)
        if (index[i] < 0 || index[i] >= limit) {
            kernel.fault->report(FaultKind::index, kernel.step, index[i], limit);
            return false;
        }
    return true;
}

void resample(ggml_tensor* dst, int ith, int nth, void* data) {
    const ggml_tensor *src = dst->src[0], *places = dst->src[1];
    if (!are_places(places, src->ne[1], *static_cast<const Kernel*>(data))) return;
    const int64_t inner = dst->ne[0], m = dst->ne[1], n = src->ne[1];
    const Taps all = {static_cast<const int64_t*>(places->data), static_cast<const float*>(dst->src[2]->data),
                      places->ne[1], m};
    auto* out = static_cast<float*>(dst->data);
    const auto* in = static_cast<const float*>(src->data);
    if (inner == 1) {
        const Range rows(dst->ne[2], ith, nth);
        for (int64_t row = rows.begin; row < rows.end; ++row)
            blend_elements(out + row * m, in + row * n, m, all);
        return;
    }
    const Range rows(m * dst->ne[2], ith, nth);
    for (int64_t row = rows.begin; row < rows.end; ++row) {
        const int64_t at = row % m;
        const Taps taps = {all.places + at, all.weights + at, all.count, all.apart};
        blend_rows(out + row * inner, in + row / m * n * inner, inner, taps);
    }
}

}  // namespace

KernelFunction resample_kernel() { return resample; }

}  // namespace native
