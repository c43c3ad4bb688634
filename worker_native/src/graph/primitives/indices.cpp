// Operations that read and write the places that integers name.
#include <limits>

#include "graph/primitives/primitive.h"

namespace native {
namespace {

ggml_tensor* index(Site& site) {
    require_indices(site, site.src[0]);
    site.require(has_ne(site.src[0], site.step.ne) && site.step.type == GGML_TYPE_I32,
                 "the result is I32 alike");
    site.require(site.integer(0) >= 1 && site.integer(0) <= std::numeric_limits<int32_t>::max(),
                 "has a bad limit");
    return custom(site, index_kernel());
}

// Sources: rows [n, r], I32 [m] that an index step has checked.
ggml_tensor* get_rows(Site& site) {
    ggml_tensor *rows = site.src[0], *indices = site.src[1];
    site.require(indices->op == GGML_OP_CUSTOM && indices->type == GGML_TYPE_I32, "wants checked indices");
    site.require(rows->ne[2] == 1 && rows->ne[3] == 1 && is_plain(rows), "wants contiguous rows in two axes");
    site.require(indices->ne[1] == 1 && indices->ne[2] == 1 && indices->ne[3] == 1,
                 "wants one axis of indices");
    const ggml_type type = rows->type;
    site.require(is_float(type) || ggml_is_quantized(type) || type == GGML_TYPE_I32,
                 "cannot read these rows");
    site.require(type != GGML_TYPE_Q8_1 && type != GGML_TYPE_Q8_K, "cannot read these rows");
    return ggml_get_rows(site.context, rows, indices);
}

// Writes rows into the first source's own memory. Sources: target [n, R, ...], F32 rows [n, r, ...], checked
// I32 [r]. The result is the target afterwards.
ggml_tensor* set_rows(Site& site) {
    ggml_tensor *target = site.src[0], *rows = site.src[1], *indices = site.src[2];
    site.require(indices->op == GGML_OP_CUSTOM && indices->type == GGML_TYPE_I32, "wants checked indices");
    site.require(is_f32(rows) && is_plain(rows) && is_plain(target), "wants contiguous F32 rows");
    site.require(is_float(target->type) || target->type == GGML_TYPE_Q8_0, "cannot write such rows");
    site.require(has_ne(rows, {target->ne[0], indices->ne[0], target->ne[2], target->ne[3]}) &&
                     has_ne(indices, {rows->ne[1], 1, 1, 1}),
                 "the rows do not fit");
    return ggml_set_rows(site.context, target, rows, indices);
}

ggml_tensor* gather(Site& site) {
    const ggml_tensor *src = site.src[0], *indices = site.src[1];
    const KernelFunction function = gather_kernel(src->type);
    require_indices(site, indices);
    site.require(function && src->type == site.step.type && is_plain(src),
                 "wants a contiguous source of one type");
    site.require(has_ne(indices, site.step.ne), "the result must be as large as the indices");
    for (int axis = 1; axis < 4; ++axis) site.require(src->ne[axis] == indices->ne[axis], "the rows differ");
    return custom(site, function);
}

ggml_tensor* take(Site& site) {
    const ggml_tensor *src = site.src[0], *indices = site.src[1];
    require_indices(site, indices);
    site.require(ggml_blck_size(src->type) == 1 && src->type == site.step.type && is_plain(src),
                 "wants a contiguous source of one type");
    site.require(
        src->ne[3] == 1 &&
            site.step.ne == std::array<int64_t, 4>{src->ne[0], ggml_nelements(indices), src->ne[2], 1},
        "the result has other extents");
    return custom(site, take_kernel());
}

ggml_tensor* scatter(Site& site) {
    const KernelEntry& entry = named_kernel(site, scatter_kernels());
    const ggml_tensor *base = site.src[0], *indices = site.src[1], *src = site.src[2];
    require_indices(site, indices);
    site.require(base->type == entry.source && is_plain(base) && is_plain(src),
                 "wants contiguous sources of one type");
    site.require(has_ne(base, site.step.ne) && base->ne[3] == 1, "the result is as large as the base");
    site.require(src->ne[0] == base->ne[0] && src->ne[2] == base->ne[2] && src->ne[3] == 1,
                 "the source differs from the base in more than one axis");
    const int64_t num = ggml_nelements(indices);
    site.require(num == src->ne[1] || num == ggml_nelements(src), "wants an index for each element or slice");
    return custom(site, entry.function);
}

ggml_tensor* search(Site& site) {
    const KernelEntry& entry = named_kernel(site, search_kernels());
    const ggml_tensor *values = site.src[0], *sorted = site.src[1];
    site.require(values->type == entry.source && is_plain(values) && is_plain(sorted),
                 "wants contiguous sources of one type");
    site.require(has_ne(values, site.step.ne), "the result is as large as the values");
    const bool is_shared = ggml_nrows(sorted) == 1;
    for (int axis = 1; axis < 4; ++axis)
        site.require(is_shared || sorted->ne[axis] == values->ne[axis], "the rows differ");
    return custom(site, entry.function);
}

ggml_tensor* bag(Site& site) {
    const ggml_tensor *src = site.src[0], *bounds = site.src[1];
    require_indices(site, bounds);
    site.require(is_f32(src) && is_plain(src) && src->ne[2] == 1 && src->ne[3] == 1,
                 "wants contiguous F32 rows");
    site.require(site.step.type == GGML_TYPE_F32 && ggml_nelements(bounds) >= 2, "wants bounds of F32 bags");
    site.require(site.step.ne == std::array<int64_t, 4>{src->ne[0], ggml_nelements(bounds) - 1, 1, 1},
                 "the result has other extents");
    site.require(site.integer(0) == 0 || site.integer(0) == 1, "has no such mode");
    return custom(site, bag_kernel());
}

const Primitive list[] = {
    {"index", 1, 2, index},
    {"get_rows", 2, 0, get_rows},
    {"set_rows", 3, 0, set_rows},
    {"gather", 2, 0, gather},
    {"take", 2, 1, take},
    {"scatter", 3, 1, scatter, scatter_kernels},
    {"search", 2, 1, search, search_kernels},
    {"bag", 2, 1, bag},
};

}  // namespace

std::span<const Primitive> index_primitives() { return list; }

}  // namespace native
