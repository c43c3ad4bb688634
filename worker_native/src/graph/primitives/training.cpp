// Steps of optimisers.
#include "graph/primitives/primitive.h"

namespace native {
namespace {

ggml_tensor* adam_step(Site& site) {
    require_plain_f32(site);
    const int64_t n = site.src[0]->ne[0];
    for (size_t i = 0; i < 4; ++i)
        site.require(has_ne(site.src[i], {n, 1, 1, 1}), "wants arrays of one length");
    for (size_t i = 4; i < 7; ++i)
        site.require(has_ne(site.src[i], {1, 1, 1, 1}), "wants rates of one number");
    site.require(site.step.type == GGML_TYPE_F32 && site.step.ne == std::array<int64_t, 4>{n, 3, 1, 1},
                 "the result has other extents");
    return custom(site, adam_step_kernel());
}

const Primitive list[] = {
    {"adam_step", 7, 4, adam_step},
};

}  // namespace

std::span<const Primitive> training_primitives() { return list; }

}  // namespace native
