// Primitives over spatial axes; see kernels/spatial/spatial.h for what each computes.
#include "kernels/spatial/spatial.h"

#include <limits>

#include "graph/primitives/primitive.h"

namespace native {
namespace {

constexpr int64_t max_geometry = int64_t(1) << 31;

Triple extents(const Step& step) { return {step.ne[2], step.ne[1], step.ne[0]}; }

// Three parameters inside [low, high].
Triple geometry(const Site& site, size_t at, int64_t low, int64_t high = max_geometry) {
    const Triple found = triple(site.step.params, at);
    for (int64_t number : found)
        site.require(number >= low && number <= high, "has a parameter out of range");
    return found;
}

// a * b, where the result may not pass what a tensor may have.
int64_t times(const Site& site, int64_t a, int64_t b) {
    site.require(a >= 1 && b >= 1 && a <= max_elements / b, "is too large");
    return a * b;
}

int64_t checked_product(const Site& site, const Triple& t) {
    return times(site, times(site, t[0], t[1]), t[2]);
}

void require_pool(const Site& site) {
    const ggml_tensor* src = site.src[0];
    site.require(is_plain(src) && site.step.ne[3] == src->ne[3],
                 "wants contiguous planes, as many as results");
    const Triple kernel = geometry(site, 1, 1), stride = geometry(site, 4, 1), low = geometry(site, 7, 0);
    const Triple dilation = geometry(site, 10, 1), in = spatial(src), out = extents(site.step);
    site.require(site.integer(14) >= 0, "has a negative divisor");
    if (site.integer(0) != 0) return;
    for (size_t axis = 0; axis < 3; ++axis) {
        site.require(out[axis] < max_geometry && in[axis] < max_geometry, "is too large");
        site.require(low[axis] <= (kernel[axis] - 1) * dilation[axis], "has padding wider than its window");
        site.require((out[axis] - 1) * stride[axis] - low[axis] < in[axis], "has a window behind the input");
    }
}

ggml_tensor* arrange(Site& site) {
    const ggml_tensor* src = site.src[0];
    const KernelFunction function = arrange_kernel(src->type);
    site.require(function && is_plain(src) && src->type == site.step.type,
                 "wants a contiguous source of one type");
    geometry(site, 0, -max_geometry);
    const int64_t phases = checked_product(site, geometry(site, 3, 1));
    site.require(site.step.ne[3] == times(site, src->ne[3], phases), "the result has other planes");
    for (int64_t extent : extents(site.step)) site.require(extent < max_geometry, "is too large");
    return custom(site, function);
}

ggml_tensor* convolve(Site& site) {
    const ggml_tensor *src = site.src[0], *weight = site.src[1];
    for (const ggml_tensor* t : site.src) site.require(is_plain_f32(t), "wants contiguous F32");
    const int64_t groups = site.integer(0);
    const Triple kernel = geometry(site, 1, 1), stride = geometry(site, 4, 1),
                 dilation = geometry(site, 7, 1);
    const int64_t taps = checked_product(site, kernel), phases = checked_product(site, stride);
    site.require(weight->ne[2] == 1 && weight->ne[3] == 1, "wants weights with two axes");
    site.require(groups >= 1 && weight->ne[0] % taps == 0 && weight->ne[1] % groups == 0,
                 "the weights do not fit the groups and taps");
    const int64_t image = times(site, times(site, times(site, weight->ne[0] / taps, groups), phases), 1);
    site.require(src->ne[3] % image == 0, "the planes do not fit the channels");
    site.require(site.step.ne[3] == times(site, src->ne[3] / image, weight->ne[1]),
                 "the result has other planes");
    const Triple in = spatial(src), out = extents(site.step);
    for (size_t axis = 0; axis < 3; ++axis) {
        const int64_t reach = (kernel[axis] - 1) * dilation[axis] / stride[axis];
        site.require(out[axis] - 1 + reach < in[axis], "a window leaves the input");
    }
    if (site.src.size() == 3)
        site.require(ggml_nelements(site.src[2]) == weight->ne[1], "the bias does not fit");
    return custom(site, convolve_kernel());
}

ggml_tensor* fold(Site& site) {
    const ggml_tensor* src = site.src[0];
    site.require(is_plain_f32(src) && site.step.type == GGML_TYPE_F32, "wants contiguous F32");
    const Triple kernel = geometry(site, 0, 1);
    geometry(site, 3, 1), geometry(site, 6, -max_geometry), geometry(site, 9, 1);
    const Triple positions = geometry(site, 12, 1);
    site.require(src->ne[0] == checked_product(site, positions) &&
                     src->ne[1] == checked_product(site, kernel) && src->ne[3] == 1 &&
                     site.step.ne[3] == src->ne[2],
                 "the columns do not fit");
    return custom(site, fold_kernel());
}

ggml_tensor* max_pool(Site& site) {
    require_pool(site);
    const KernelFunction function = max_pool_kernel(site.src[0]->type);
    site.require(function && site.step.type == site.src[0]->type, "wants F32, I32 or I64");
    return custom(site, function);
}

ggml_tensor* max_pool_index(Site& site) {
    require_pool(site);
    const KernelFunction function = max_pool_index_kernel(site.src[0]->type);
    site.require(function && site.step.type == GGML_TYPE_I64, "makes I64 of F32, I32 or I64");
    return custom(site, function);
}

ggml_tensor* avg_pool(Site& site) {
    require_pool(site);
    site.require(is_plain_f32(site.src[0]) && site.step.type == GGML_TYPE_F32, "wants F32");
    site.require(geometry(site, 10, 1) == Triple{1, 1, 1}, "knows no dilation");
    return custom(site, avg_pool_kernel());
}

ggml_tensor* resample(Site& site) {
    const ggml_tensor *src = site.src[0], *places = site.src[1], *weights = site.src[2];
    site.require(is_plain_f32(src) && is_plain_f32(weights) && site.step.type == GGML_TYPE_F32, "wants F32");
    site.require(places->type == GGML_TYPE_I64 && is_plain(places), "wants contiguous I64 indices");
    site.require(ggml_are_same_shape(places, weights) && places->ne[2] == 1 && places->ne[3] == 1,
                 "wants a weight for each index");
    site.require(
        src->ne[3] == 1 && site.step.ne == std::array<int64_t, 4>{src->ne[0], places->ne[0], src->ne[2], 1},
        "the result has other extents");
    return custom(site, resample_kernel());
}

// ggml's own, for devices that have it. Sources: weights [K1, K0, channels, outputs] and images
// [I1, I0, channels, N]; params: stride, padding and dilation, innermost axis first.
ggml_tensor* conv_2d(Site& site) {
    ggml_tensor *weight = site.src[0], *src = site.src[1];
    site.require(is_plain_f32(weight) && is_plain_f32(src), "wants contiguous F32");
    site.require(weight->ne[2] == src->ne[2], "the channels differ");
    for (size_t i = 0; i < 6; ++i)
        site.require(site.integer(i) >= (i == 2 || i == 3 ? 0 : 1) && site.integer(i) < (1 << 20),
                     "has a parameter out of range");
    for (size_t axis = 0; axis < 2; ++axis) {
        site.require(src->ne[axis] < (1 << 30) && weight->ne[axis] < (1 << 20), "is too large");
        const int64_t reach = (weight->ne[axis] - 1) * site.integer(4 + axis);
        site.require(reach < src->ne[axis] + 2 * site.integer(2 + axis),
                     "the window is larger than the input");
    }
    // ggml computes in pieces that fit its work memory of 16 MiB; one position must fit.
    const int64_t position_bytes = (weight->ne[0] * weight->ne[1] * weight->ne[2] + weight->ne[3]) * 4;
    site.require(position_bytes <= int64_t(16) << 20, "one position is larger than the work memory");
    const auto number = [&](size_t i) { return static_cast<int>(site.integer(i)); };
    return ggml_conv_2d_direct(site.context, weight, src, number(0), number(1), number(2), number(3),
                               number(4), number(5));
}

const Primitive list[] = {
    {"arrange", 1, 7, arrange},    {"convolve", 2, 10, convolve}, {"convolve_bias", 3, 10, convolve},
    {"fold", 1, 15, fold},         {"max_pool", 1, 15, max_pool}, {"max_pool_index", 1, 15, max_pool_index},
    {"avg_pool", 1, 15, avg_pool}, {"resample", 3, 0, resample},  {"conv_2d", 2, 6, conv_2d},
};

}  // namespace

std::span<const Primitive> spatial_primitives() { return list; }

}  // namespace native
