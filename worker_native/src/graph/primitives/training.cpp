// Steps of optimisers.
#include "graph/primitives/primitive.h"

namespace native {
namespace {

// Three arrays of one length to another one; what follows them are numbers.
void require_arrays(const Site& site) {
    require_plain_f32(site);
    const int64_t n = site.src[0]->ne[0];
    for (size_t i = 0; i < site.src.size(); ++i)
        site.require(has_ne(site.src[i], {i < 3 ? n : 1, 1, 1, 1}),
                     i < 3 ? "wants arrays of one length" : "wants rates of one number");
    site.require(site.step.type == GGML_TYPE_F32 && site.step.ne == std::array<int64_t, 4>{n, 1, 1, 1},
                 "the result has other extents");
}

ggml_tensor* adam_mean(Site& site) {
    require_arrays(site);
    return custom(site, adam_mean_kernel());
}

ggml_tensor* adam_square(Site& site) {
    require_arrays(site);
    return custom(site, adam_square_kernel());
}

ggml_tensor* adam_param(Site& site) {
    require_arrays(site);
    return custom(site, adam_param_kernel());
}

const Primitive list[] = {
    {"adam_mean", 3, 2, adam_mean},
    {"adam_square", 3, 2, adam_square},
    {"adam_param", 6, 1, adam_param},
};

}  // namespace

std::span<const Primitive> training_primitives() { return list; }

}  // namespace native
