// Operations that look at whole rows: norms, softmax, reductions, scans and sorts.
#include "graph/primitives/primitive.h"

namespace native {
namespace {

template <auto apply>
ggml_tensor* unary(Site& site) {
    require_plain_f32(site);
    return apply(site.context, site.src[0]);
}

template <auto apply>
ggml_tensor* with_epsilon(Site& site) {
    require_plain_f32(site);
    site.require(site.real(0) >= 0, "wants eps >= 0");
    return apply(site.context, site.src[0], site.real(0));
}

ggml_tensor* group_norm(Site& site) {
    require_plain_f32(site);
    const int64_t groups = site.integer(0);
    site.require(groups >= 1 && groups <= site.src[0]->ne[2] && site.src[0]->ne[2] % groups == 0,
                 "the channels (ne[2]) must be a multiple of the groups");
    site.require(site.real(1) >= 0, "wants eps >= 0");
    return ggml_group_norm(site.context, site.src[0], static_cast<int>(groups), site.real(1));
}

ggml_tensor* norm_affine(Site& site) {
    require_plain_f32(site);
    const ggml_tensor* src = site.src[0];
    for (const ggml_tensor* extra : {site.src[1], site.src[2]})
        site.require(ggml_nelements(extra) == src->ne[0],
                     "wants a weight and a bias for each element of a row");
    site.require(site.step.type == GGML_TYPE_F32 && has_ne(src, site.step.ne),
                 "the result has other extents");
    site.require(site.number(0) >= 0, "eps must not be negative");
    return custom(site, norm_affine_kernel());
}

// params: scale. A second source is added to the scaled rows before the exponent; its outer axes may repeat.
ggml_tensor* soft_max_ext(Site& site) {
    ggml_tensor *a = site.src[0], *mask = site.src.size() > 1 ? site.src[1] : nullptr;
    require_plain_f32(site);
    if (mask) {
        site.require(mask->ne[0] == a->ne[0] && mask->ne[1] == a->ne[1], "the mask has other rows");
        site.require(a->ne[2] % mask->ne[2] == 0 && a->ne[3] % mask->ne[3] == 0, "the mask does not repeat");
    }
    return ggml_soft_max_ext(site.context, a, mask, site.real(0), 0.0f);
}

// -inf right of the diagonal that begins in the first element.
ggml_tensor* diag_mask_inf(Site& site) {
    require_plain_f32(site);
    return ggml_diag_mask_inf(site.context, site.src[0], 0);
}

ggml_tensor* row_kernel(Site& site, std::span<const KernelEntry> entries, int64_t width) {
    const KernelEntry& entry = named_kernel(site, entries);
    const ggml_tensor* src = site.src[0];
    site.require(is_plain(src), "wants a contiguous source");
    site.require(site.step.ne == std::array<int64_t, 4>{width, src->ne[1], src->ne[2], src->ne[3]},
                 "the result has other rows");
    return custom(site, entry.function);
}

ggml_tensor* reduce(Site& site) { return row_kernel(site, reduce_kernels(), 1); }
// The source is [inner, n, outer], of which n is reduced.
ggml_tensor* reduce_columns(Site& site) {
    const KernelEntry& entry = named_kernel(site, column_kernels());
    const ggml_tensor* src = site.src[0];
    site.require(is_plain(src) && src->ne[1] > 0 && src->ne[3] == 1,
                 "wants a contiguous source in three axes");
    site.require(site.step.ne == std::array<int64_t, 4>{src->ne[0], 1, src->ne[2], 1},
                 "the result has other columns");
    return custom(site, entry.function);
}

ggml_tensor* scan(Site& site) { return row_kernel(site, scan_kernels(), site.src[0]->ne[0]); }
ggml_tensor* exp_rows(Site& site) { return row_kernel(site, exp_kernels(), site.src[0]->ne[0]); }
ggml_tensor* sort(Site& site) { return row_kernel(site, sort_kernels(), site.src[0]->ne[0]); }

const Primitive list[] = {
    {"sum_rows", 1, 0, unary<ggml_sum_rows>},
    {"mean", 1, 0, unary<ggml_mean>},
    {"norm", 1, 1, with_epsilon<ggml_norm>},
    {"rms_norm", 1, 1, with_epsilon<ggml_rms_norm>},
    {"l2_norm", 1, 1, with_epsilon<ggml_l2_norm>},
    {"group_norm", 1, 2, group_norm},
    {"norm_affine", 3, 1, norm_affine},
    {"soft_max", 1, 0, unary<ggml_soft_max>},
    {"soft_max_scale", 1, 1, soft_max_ext},
    {"soft_max_mask", 2, 1, soft_max_ext},
    {"diag_mask_inf", 1, 0, diag_mask_inf},
    {"reduce", 1, 0, reduce, reduce_kernels},
    {"reduce_columns", 1, 0, reduce_columns, column_kernels},
    {"scan", 1, 0, scan, scan_kernels},
    {"sort", 1, 1, sort, sort_kernels},
    {"exp_rows", 1, 0, exp_rows, exp_kernels},
};

}  // namespace

std::span<const Primitive> row_primitives() { return list; }

}  // namespace native
