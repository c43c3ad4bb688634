// Fourier transforms of rows.
#include "graph/primitives/primitive.h"
#include "kernels/fourier/recent_transforms.h"

namespace native {
namespace {

ggml_tensor* fourier(Site& site) {
    require_plain_f32(site);
    const int64_t mode = site.integer(0), n = site.integer(1), half = n / 2 + 1;
    site.require(site.step.type == GGML_TYPE_F32, "the result is F32");
    site.require(mode >= 0 && mode <= 2 && n >= 1 && n < (int64_t(1) << 40), "has a bad mode or length");
    site.require((site.integer(2) == 0 || site.integer(2) == 1) && (mode != 1 || site.integer(2) == 0) &&
                     (mode != 2 || site.integer(2) == 1),
                 "has a bad direction");
    const int64_t width_in = mode == 1 ? n : 2 * (mode == 2 ? half : n),
                  width_out = mode == 2 ? n : 2 * (mode == 1 ? half : n);
    const auto& ne = site.step.ne;
    const int64_t num_in = ggml_nelements(site.src[0]), rows = num_in / width_in;
    site.require(num_in % width_in == 0, "the source has rows of another length");
    const int64_t num_out = ne[0] * ne[1] * ne[2] * ne[3];
    site.require(num_out % width_out == 0 && num_out / width_out == rows, "the result has other rows");
    for (size_t i : {4, 5})
        site.require(site.integer(i) >= 1 && rows % site.integer(i) == 0, "has rows that do not fit");
    ggml_tensor* t = custom(site, fourier_kernel());
    site.kernels.back()->plan = recent_transforms().get(n, mode != 0);
    return t;
}

const Primitive list[] = {
    {"fourier", 1, 6, fourier},
};

}  // namespace

std::span<const Primitive> fourier_primitives() { return list; }

}  // namespace native
