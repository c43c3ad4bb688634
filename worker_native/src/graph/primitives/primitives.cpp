#include "graph/primitives/primitives.h"

#include <algorithm>
#include <limits>

#include "graph/primitives/spatial.h"
#include "kernels/fourier/transform.h"

namespace native {

ggml_tensor* custom(Site& site, KernelFunction function) {
    site.kernels.push_back(std::make_unique<Kernel>(Kernel{site.step.params, site.index, &site.fault}));
    const auto& ne = site.step.ne;
    return ggml_custom_4d(site.context, site.step.type, ne[0], ne[1], ne[2], ne[3], site.src.data(),
                          static_cast<int>(site.src.size()), function, GGML_N_TASKS_MAX,
                          site.kernels.back().get());
}

namespace {

bool is_plain(const ggml_tensor* t) { return ggml_is_contiguous(t); }
bool is_f32(const ggml_tensor* t) { return t->type == GGML_TYPE_F32; }

bool has_ne(const ggml_tensor* t, const std::array<int64_t, 4>& ne) {
    return std::equal(ne.begin(), ne.end(), t->ne);
}

void require_plain_f32(const Site& site) {
    for (const ggml_tensor* t : site.src) site.require(is_f32(t) && is_plain(t), "wants contiguous F32");
}

// A view of any strides, 0 included, over a contiguous source. params: nb[4] and offset, in bytes.
ggml_tensor* view(Site& site) {
    ggml_tensor* base = site.src[0];
    const Step& step = site.step;
    site.require(!base->view_src || base->op == GGML_OP_SET_ROWS, "wants a whole tensor");
    site.require(step.type == base->type, "wants its own type");
    const int64_t block = ggml_blck_size(step.type),
                  size_bytes = static_cast<int64_t>(ggml_type_size(step.type));
    const int64_t limit = static_cast<int64_t>(ggml_nbytes(base));
    site.require(block == 1 || (step.params[0] == size_bytes && step.params[4] == 0), "cuts a block");
    int64_t last = site.integer(4);
    site.require(last >= 0 && last <= limit, "starts outside its source");
    for (size_t axis = 0; axis < 4; ++axis) {
        const int64_t stride = site.integer(axis),
                      steps = axis == 0 ? step.ne[0] / block - 1 : step.ne[axis] - 1;
        site.require(stride >= 0 && stride <= limit, "has a stride outside its source");
        site.require(steps == 0 || stride <= (limit - last) / steps, "ends outside its source");
        last += steps * stride;
    }
    site.require(last + size_bytes <= limit, "ends outside its source");
    ggml_tensor* t = ggml_view_1d(site.context, base, block, static_cast<size_t>(site.integer(4)));
    for (size_t axis = 0; axis < 4; ++axis) {
        t->ne[axis] = step.ne[axis];
        t->nb[axis] = static_cast<size_t>(step.params[axis]);
    }
    return t;
}

ggml_tensor* cont(Site& site) {
    site.require(ggml_blck_size(site.src[0]->type) == 1, "cannot move single elements of a quantised type");
    site.require(has_ne(site.src[0], site.step.ne), "changes the extents");
    return ggml_cont(site.context, site.src[0]);
}

bool is_float(ggml_type type) {
    return type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16;
}

ggml_tensor* cast(Site& site) {
    const ggml_type from = site.src[0]->type, to = site.step.type;
    site.require(is_plain(site.src[0]), "wants a contiguous source");
    const bool dequantises = ggml_is_quantized(from) && to == GGML_TYPE_F32;
    const bool quantises =
        from == GGML_TYPE_F32 && ggml_is_quantized(to) && !ggml_quantize_requires_imatrix(to);
    site.require((is_float(from) && is_float(to)) || dequantises || quantises, "has no such conversion");
    return ggml_cast(site.context, site.src[0], to);
}

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

// The second source may have extents of 1, and is then repeated.
template <auto apply>
ggml_tensor* binary(Site& site) {
    const ggml_tensor *a = site.src[0], *b = site.src[1];
    site.require(is_f32(a) && is_f32(b), "wants F32");
    for (int axis = 0; axis < 4; ++axis)
        site.require(b->ne[axis] == a->ne[axis] || b->ne[axis] == 1, "the second source must fit the first");
    site.require(a->nb[0] == sizeof(float) && b->nb[0] == sizeof(float), "wants contiguous rows");
    return apply(site.context, site.src[0], site.src[1]);
}

ggml_tensor* scale(Site& site) {
    require_plain_f32(site);
    return ggml_scale_bias(site.context, site.src[0], site.real(0), site.real(1));
}

ggml_tensor* clamp(Site& site) {
    require_plain_f32(site);
    return ggml_clamp(site.context, site.src[0], site.real(0), site.real(1));
}

ggml_tensor* leaky_relu(Site& site) {
    require_plain_f32(site);
    return ggml_leaky_relu(site.context, site.src[0], site.real(0), false);
}

ggml_tensor* group_norm(Site& site) {
    require_plain_f32(site);
    const int64_t groups = site.integer(0);
    site.require(groups >= 1 && groups <= site.src[0]->ne[2] && site.src[0]->ne[2] % groups == 0,
                 "the channels (ne[2]) must be a multiple of the groups");
    site.require(site.real(1) >= 0, "wants eps >= 0");
    return ggml_group_norm(site.context, site.src[0], static_cast<int>(groups), site.real(1));
}

// Sources: weight [K, N, ...] with contiguous rows, F32 activations [K, M, ...]; params: whether to
// accumulate in F32.
ggml_tensor* mul_mat(Site& site) {
    ggml_tensor *weight = site.src[0], *input = site.src[1];
    const ggml_type type = weight->type;
    site.require(is_float(type) || ggml_is_quantized(type), "the first source cannot be multiplied");
    site.require(type != GGML_TYPE_Q8_1 && type != GGML_TYPE_Q8_K, "the first source cannot be multiplied");
    site.require(is_f32(input) && is_plain(input), "wants contiguous F32 as second source");
    site.require(weight->nb[0] == ggml_type_size(type) && weight->nb[1] >= ggml_row_size(type, weight->ne[0]),
                 "wants contiguous rows in the first source");
    site.require(weight->nb[1] <= weight->nb[2] && weight->nb[2] <= weight->nb[3],
                 "wants rows in their order");
    site.require(weight->ne[0] == input->ne[0], "the inner extents differ");
    for (int axis = 2; axis < 4; ++axis)
        site.require(input->ne[axis] % weight->ne[axis] == 0, "the outer extents do not fit");
    ggml_tensor* t = ggml_mul_mat(site.context, weight, input);
    if (site.integer(0) != 0) ggml_prec_set_acc(t, GGML_PREC_F32);
    return t;
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

ggml_tensor* concat(Site& site) {
    const ggml_tensor *a = site.src[0], *b = site.src[1];
    const int64_t axis = site.integer(0);
    site.require(axis >= 0 && axis < 4, "has no such axis");
    site.require(a->type == b->type && ggml_blck_size(a->type) == 1, "wants one type, not quantised");
    site.require(is_plain(a) && is_plain(b), "wants contiguous sources");
    for (int other = 0; other < 4; ++other)
        site.require(other == axis || a->ne[other] == b->ne[other], "the other extents differ");
    return ggml_concat(site.context, site.src[0], site.src[1], static_cast<int>(axis));
}

ggml_tensor* repeat(Site& site) {
    require_plain_f32(site);
    for (size_t axis = 0; axis < 4; ++axis)
        site.require(site.step.ne[axis] % site.src[0]->ne[axis] == 0, "wants multiples of the extents");
    const auto& ne = site.step.ne;
    return ggml_repeat_4d(site.context, site.src[0], ne[0], ne[1], ne[2], ne[3]);
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

bool has_rows(const ggml_tensor* t) {
    return t->nb[0] == ggml_type_size(t->type) && t->nb[1] >= ggml_row_size(t->type, t->ne[0]);
}

// Sources: F32 query [E, L, H, B], key [E, S, Hk, B], value [Ev, S, Hv, B], perhaps an F16 mask [S, L, 1|H,
// 1|B]; result [Ev, H, L, B]. params: scale.
ggml_tensor* flash_attn(Site& site) {
    ggml_tensor *q = site.src[0], *k = site.src[1], *v = site.src[2];
    ggml_tensor* mask = site.src.size() > 3 ? site.src[3] : nullptr;
    site.require(is_f32(q) && k->type == v->type, "wants an F32 query, and key and value of one type");
    site.require(is_float(k->type) || k->type == GGML_TYPE_Q8_0, "has no such keys");
    site.require(has_rows(q) && has_rows(k) && has_rows(v), "wants contiguous rows");
    site.require(k->ne[0] == q->ne[0] && v->ne[1] == k->ne[1], "the inner extents differ");
    for (const ggml_tensor* t : {k, v})
        site.require(q->ne[2] % t->ne[2] == 0 && q->ne[3] == t->ne[3], "the heads do not fit");
    if (mask) {
        site.require(mask->type == GGML_TYPE_F16 && is_plain(mask), "wants a contiguous F16 mask");
        site.require(mask->ne[0] == k->ne[1] && mask->ne[1] == q->ne[1], "the mask has other rows");
        site.require(q->ne[2] % mask->ne[2] == 0 && q->ne[3] % mask->ne[3] == 0, "the mask does not repeat");
    }
    ggml_tensor* t = ggml_flash_attn_ext(site.context, q, k, v, mask, site.real(0), 0.0f, 0.0f);
    ggml_prec_set_acc(t, GGML_PREC_F32);
    return t;
}

// Sources: [D, H, T, B] with contiguous rows, I32 positions [T], perhaps F32 divisors of the frequencies [>=
// D/2]. params: num_dims, mode, trained length, base, scale, extrapolation, magnitude, beta_fast, beta_slow.
ggml_tensor* rope(Site& site) {
    ggml_tensor *a = site.src[0], *positions = site.src[1];
    ggml_tensor* divisors = site.src.size() > 2 ? site.src[2] : nullptr;
    const int64_t num_dims = site.integer(0), mode = site.integer(1), length = site.integer(2);
    site.require(is_f32(a) && has_rows(a), "wants F32 with contiguous rows");
    site.require(a->ne[0] % 2 == 0 && num_dims >= 2 && num_dims % 2 == 0 && num_dims <= a->ne[0],
                 "wants an even number of dims");
    site.require(mode == GGML_ROPE_TYPE_NORMAL || mode == GGML_ROPE_TYPE_NEOX, "has no such mode");
    site.require(length >= 0 && length <= std::numeric_limits<int32_t>::max(), "has a bad length");
    site.require(positions->type == GGML_TYPE_I32 && is_plain(positions), "wants contiguous I32 positions");
    site.require(has_ne(positions, {a->ne[2], 1, 1, 1}), "wants a position for each row of the third axis");
    // ggml reads a divisor for every pair of the row, rotated or not.
    if (divisors)
        site.require(is_f32(divisors) && is_plain(divisors) && divisors->ne[0] >= a->ne[0] / 2,
                     "wants a divisor for each pair");
    return ggml_rope_ext(site.context, a, positions, divisors, static_cast<int>(num_dims),
                         static_cast<int>(mode), static_cast<int>(length), site.real(3), site.real(4),
                         site.real(5), site.real(6), site.real(7), site.real(8));
}

// Gated units of two F32 sources alike: the activation of the first times the second.
template <auto apply>
ggml_tensor* gated(Site& site) {
    require_plain_f32(site);
    site.require(ggml_are_same_shape(site.src[0], site.src[1]), "wants two sources alike");
    return apply(site.context, site.src[0], site.src[1]);
}

// Sources: lower triangles [n, n, ...], right sides [k, n, ...]. params: none.
ggml_tensor* solve_tri(Site& site) {
    const ggml_tensor *a = site.src[0], *b = site.src[1];
    require_plain_f32(site);
    site.require(a->ne[0] == a->ne[1] && a->ne[1] == b->ne[1], "wants square triangles that fit");
    site.require(a->ne[2] == b->ne[2] && a->ne[3] == b->ne[3], "the outer extents differ");
    return ggml_solve_tri(site.context, site.src[0], site.src[1], true, true, false);
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

// Our own kernels.

const KernelEntry& entry_of(const Site& site, std::span<const KernelEntry> entries) {
    const int64_t at = site.integer(0);
    site.require(at >= 0 && at < static_cast<int64_t>(entries.size()), "has no such kernel");
    const KernelEntry& entry = entries[static_cast<size_t>(at)];
    site.require(entry.arity == static_cast<int>(site.src.size()), "has another number of sources");
    site.require(entry.source == site.src.back()->type && entry.result == site.step.type, "has other types");
    return entry;
}

ggml_tensor* map(Site& site) {
    const KernelEntry& entry = entry_of(site, map_kernels());
    for (size_t i = 0; i < site.src.size(); ++i) {
        site.require(has_ne(site.src[i], site.step.ne), "a source has other extents");
        const ggml_type wanted = entry.arity == 3 && i == 0 ? GGML_TYPE_F32 : entry.source;
        site.require(site.src[i]->type == wanted, "a source has another type");
    }
    return custom(site, entry.function);
}

ggml_tensor* row_kernel(Site& site, std::span<const KernelEntry> entries, int64_t width) {
    const KernelEntry& entry = entry_of(site, entries);
    const ggml_tensor* src = site.src[0];
    site.require(is_plain(src), "wants a contiguous source");
    site.require(site.step.ne == std::array<int64_t, 4>{width, src->ne[1], src->ne[2], src->ne[3]},
                 "the result has other rows");
    return custom(site, entry.function);
}

ggml_tensor* reduce(Site& site) { return row_kernel(site, reduce_kernels(), 1); }
// Source: [inner, n, outer]; n is what is reduced.
ggml_tensor* reduce_columns(Site& site) {
    const KernelEntry& entry = entry_of(site, column_kernels());
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

ggml_tensor* copy(Site& site) {
    const ggml_tensor* src = site.src[0];
    const KernelFunction function = copy_kernel(src->type);
    site.require(function && src->type == site.step.type && is_plain(src),
                 "wants a contiguous source of one type");
    const int64_t num_axes = site.integer(0), limit = ggml_nelements(src);
    site.require(
        num_axes >= 1 && num_axes <= 8 && static_cast<int64_t>(site.step.params.size()) == 2 + 2 * num_axes,
        "wants 1 to 8 axes");
    int64_t lowest = site.integer(static_cast<size_t>(1 + 2 * num_axes)), highest = lowest, num_elements = 1;
    site.require(lowest >= 0 && lowest < limit, "starts outside its source");
    for (int64_t axis = 0; axis < num_axes; ++axis) {
        const int64_t extent = site.integer(static_cast<size_t>(1 + axis));
        const int64_t stride = site.integer(static_cast<size_t>(1 + num_axes + axis));
        site.require(extent >= 1 && extent <= std::numeric_limits<int64_t>::max() / num_elements,
                     "has a bad extent");
        num_elements *= extent;
        const int64_t reach = stride < 0 ? -stride : stride;
        site.require(reach >= 0 && (reach == 0 || extent == 1 || extent - 1 <= limit / reach),
                     "has a bad stride");
        int64_t& end = stride < 0 ? lowest : highest;
        if (extent > 1) end += (extent - 1) * stride;
        site.require(lowest >= 0 && highest < limit, "leaves its source");
    }
    const auto& ne = site.step.ne;
    site.require(num_elements == ne[0] * ne[1] * ne[2] * ne[3], "the result has another size");
    return custom(site, function);
}

void require_indices(const Site& site, const ggml_tensor* indices) {
    site.require(indices->type == GGML_TYPE_I64 && is_plain(indices), "wants contiguous I64 indices");
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
    const KernelEntry& entry = entry_of(site, scatter_kernels());
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

// The strides fall so steeply that no two elements share an address.
ggml_tensor* paste(Site& site) {
    const ggml_tensor *base = site.src[0], *src = site.src[1];
    const KernelFunction function = paste_kernel(base->type);
    site.require(function && base->type == site.step.type && src->type == base->type, "wants one type");
    site.require(is_plain(base) && is_plain(src) && has_ne(base, site.step.ne), "wants contiguous sources");
    const int64_t num_axes = site.integer(0), limit = ggml_nelements(base);
    site.require(
        num_axes >= 1 && num_axes <= 8 && static_cast<int64_t>(site.step.params.size()) == 2 + 2 * num_axes,
        "wants 1 to 8 axes");
    const int64_t offset = site.integer(static_cast<size_t>(1 + 2 * num_axes));
    site.require(offset >= 0 && offset < limit, "starts outside its base");
    int64_t reach = 0, num_elements = 1;
    for (int64_t axis = num_axes; axis-- > 0;) {
        const int64_t extent = site.integer(static_cast<size_t>(1 + axis));
        const int64_t stride = site.integer(static_cast<size_t>(1 + num_axes + axis));
        site.require(extent >= 1 && extent <= limit && stride > reach && stride <= limit, "has a bad axis");
        site.require(extent - 1 <= (limit - 1 - offset - reach) / stride, "leaves its base");
        reach += (extent - 1) * stride;
        num_elements *= extent;
    }
    site.require(num_elements == ggml_nelements(src), "the source has another size");
    return custom(site, function);
}

ggml_tensor* search(Site& site) {
    const KernelEntry& entry = entry_of(site, search_kernels());
    const ggml_tensor *values = site.src[0], *sorted = site.src[1];
    site.require(values->type == entry.source && is_plain(values) && is_plain(sorted),
                 "wants contiguous sources of one type");
    site.require(has_ne(values, site.step.ne), "the result is as large as the values");
    const bool is_shared = ggml_nrows(sorted) == 1;
    for (int axis = 1; axis < 4; ++axis)
        site.require(is_shared || sorted->ne[axis] == values->ne[axis], "the rows differ");
    return custom(site, entry.function);
}

ggml_tensor* index(Site& site) {
    require_indices(site, site.src[0]);
    site.require(has_ne(site.src[0], site.step.ne) && site.step.type == GGML_TYPE_I32,
                 "the result is I32 alike");
    site.require(site.integer(0) >= 1 && site.integer(0) <= std::numeric_limits<int32_t>::max(),
                 "has a bad limit");
    return custom(site, index_kernel());
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

ggml_tensor* lstm_cell(Site& site) {
    require_plain_f32(site);
    const ggml_tensor* cell = site.src[2];
    const int64_t n = cell->ne[0], count = cell->ne[1];
    site.require(cell->ne[2] == 1 && cell->ne[3] == 1, "wants cells in two axes");
    for (const ggml_tensor* gates : {site.src[0], site.src[1]})
        site.require(has_ne(gates, {4 * n, count, 1, 1}), "wants four gates for each cell");
    site.require(site.step.type == GGML_TYPE_F32 && site.step.ne == std::array<int64_t, 4>{n, count, 2, 1},
                 "the result has other extents");
    return custom(site, lstm_cell_kernel());
}

ggml_tensor* attend(Site& site) {
    const ggml_tensor *q = site.src[0], *k = site.src[1], *v = site.src[2];
    for (const ggml_tensor* t : {q, k, v})
        site.require(is_f32(t) && has_rows(t) && t->nb[1] % sizeof(float) == 0, "wants rows of F32");
    site.require(k->ne[0] == q->ne[0] && v->ne[1] == k->ne[1] && v->ne[2] == k->ne[2],
                 "the inner extents differ");
    for (const ggml_tensor* t : {k, v})
        site.require(q->ne[2] % t->ne[2] == 0 && q->ne[3] == t->ne[3], "the heads do not fit");
    site.require(k->ne[1] <= 1 << 20 && k->ne[0] <= 1 << 20, "has too many keys");
    site.require(site.step.type == GGML_TYPE_F32 &&
                     site.step.ne == std::array<int64_t, 4>{v->ne[0], q->ne[1], q->ne[2], q->ne[3]},
                 "the result has other extents");
    return custom(site, attend_kernel());
}

ggml_tensor* lstm_sequence(Site& site) {
    require_plain_f32(site);
    const ggml_tensor *gates = site.src[0], *cell = site.src[3];
    const int64_t n = cell->ne[0], count = cell->ne[1], num_steps = gates->ne[2];
    site.require(cell->ne[2] == 1 && cell->ne[3] == 1 && has_ne(site.src[2], {n, count, 1, 1}),
                 "wants hidden states and cells in two axes");
    site.require(has_ne(gates, {4 * n, count, num_steps, 1}), "wants four gates for each cell");
    site.require(has_ne(site.src[1], {4 * n, n, 1, 1}), "wants a weight for four gates");
    site.require(
        site.step.type == GGML_TYPE_F32 && site.step.ne == std::array<int64_t, 4>{n, count, num_steps + 1, 1},
        "the result has other extents");
    return custom(site, lstm_sequence_kernel());
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
    site.kernels.back()->plan = row_transform(n, mode != 0);
    return t;
}

ggml_tensor* input(Site& site) {
    ggml_tensor* t = ggml_new_tensor(site.context, site.step.type, 4, site.step.ne.data());
    ggml_set_input(t);
    return t;
}

const Primitive list[] = {
    {"input", 0, 0, 0, input},
    {"view", 1, 5, 5, view},
    {"cont", 1, 0, 0, cont},
    {"cast", 1, 0, 0, cast},
    {"add", 2, 0, 0, binary<ggml_add>},
    {"sub", 2, 0, 0, binary<ggml_sub>},
    {"mul", 2, 0, 0, binary<ggml_mul>},
    {"div", 2, 0, 0, binary<ggml_div>},
    {"abs", 1, 0, 0, unary<ggml_abs>},
    {"sgn", 1, 0, 0, unary<ggml_sgn>},
    {"neg", 1, 0, 0, unary<ggml_neg>},
    {"step", 1, 0, 0, unary<ggml_step>},
    {"tanh", 1, 0, 0, unary<ggml_tanh>},
    {"elu", 1, 0, 0, unary<ggml_elu>},
    {"relu", 1, 0, 0, unary<ggml_relu>},
    {"sigmoid", 1, 0, 0, unary<ggml_sigmoid>},
    {"gelu", 1, 0, 0, unary<ggml_gelu>},
    {"gelu_erf", 1, 0, 0, unary<ggml_gelu_erf>},
    {"gelu_quick", 1, 0, 0, unary<ggml_gelu_quick>},
    {"silu", 1, 0, 0, unary<ggml_silu>},
    {"hardswish", 1, 0, 0, unary<ggml_hardswish>},
    {"hardsigmoid", 1, 0, 0, unary<ggml_hardsigmoid>},
    {"exp", 1, 0, 0, unary<ggml_exp>},
    {"expm1", 1, 0, 0, unary<ggml_expm1>},
    {"softplus", 1, 0, 0, unary<ggml_softplus>},
    {"floor", 1, 0, 0, unary<ggml_floor>},
    {"ceil", 1, 0, 0, unary<ggml_ceil>},
    {"trunc", 1, 0, 0, unary<ggml_trunc>},
    {"sqr", 1, 0, 0, unary<ggml_sqr>},
    {"sqrt", 1, 0, 0, unary<ggml_sqrt>},
    {"log", 1, 0, 0, unary<ggml_log>},
    {"sin", 1, 0, 0, unary<ggml_sin>},
    {"cos", 1, 0, 0, unary<ggml_cos>},
    {"sum_rows", 1, 0, 0, unary<ggml_sum_rows>},
    {"mean", 1, 0, 0, unary<ggml_mean>},
    {"soft_max", 1, 0, 0, unary<ggml_soft_max>},
    {"soft_max_scale", 1, 1, 1, soft_max_ext},
    {"soft_max_mask", 2, 1, 1, soft_max_ext},
    {"diag_mask_inf", 1, 0, 0, diag_mask_inf},
    {"flash_attn", 3, 1, 1, flash_attn},
    {"flash_attn_mask", 4, 1, 1, flash_attn},
    {"rope", 2, 9, 9, rope},
    {"rope_divided", 3, 9, 9, rope},
    {"swiglu", 2, 0, 0, gated<ggml_swiglu_split>},
    {"geglu_erf", 2, 0, 0, gated<ggml_geglu_erf_split>},
    {"solve_tri", 2, 0, 0, solve_tri},
    {"set_rows", 3, 0, 0, set_rows},
    {"norm", 1, 1, 1, with_epsilon<ggml_norm>},
    {"rms_norm", 1, 1, 1, with_epsilon<ggml_rms_norm>},
    {"l2_norm", 1, 1, 1, with_epsilon<ggml_l2_norm>},
    {"group_norm", 1, 2, 2, group_norm},
    {"scale", 1, 2, 2, scale},
    {"clamp", 1, 2, 2, clamp},
    {"leaky_relu", 1, 1, 1, leaky_relu},
    {"mul_mat", 2, 1, 1, mul_mat},
    {"get_rows", 2, 0, 0, get_rows},
    {"concat", 2, 1, 1, concat},
    {"repeat", 1, 0, 0, repeat},
    {"map1", 1, 1, 1, map},
    {"map2", 2, 1, 1, map},
    {"map3", 3, 1, 1, map},
    {"reduce", 1, 1, 1, reduce},
    {"scan", 1, 1, 1, scan},
    {"sort", 1, 2, 2, sort},
    {"copy", 1, 4, 18, copy},
    {"gather", 2, 0, 0, gather},
    {"take", 2, 1, 1, take},
    {"index", 1, 2, 2, index},
    {"scatter", 3, 2, 2, scatter},
    {"paste", 2, 4, 18, paste},
    {"search", 2, 2, 2, search},
    {"bag", 2, 1, 1, bag},
    {"fourier", 1, 6, 6, fourier},
    {"arrange", 1, 7, 7, arrange},
    {"convolve", 2, 10, 10, convolve},
    {"convolve_bias", 3, 10, 10, convolve},
    {"fold", 1, 15, 15, fold},
    {"max_pool", 1, 15, 15, max_pool},
    {"max_pool_index", 1, 15, 15, max_pool_index},
    {"avg_pool", 1, 15, 15, avg_pool},
    {"resample", 3, 0, 0, resample},
    {"conv_2d", 2, 6, 6, conv_2d},
    {"reduce_columns", 1, 1, 1, reduce_columns},
    {"exp_rows", 1, 1, 1, exp_rows},
    {"norm_affine", 3, 1, 1, norm_affine},
    {"attend", 3, 1, 1, attend},
    {"lstm_cell", 3, 0, 0, lstm_cell},
    {"lstm_sequence", 4, 1, 1, lstm_sequence},
};

}  // namespace

std::span<const Primitive> primitives() { return list; }

const Primitive& primitive_of(const Step& step, int64_t index) {
    if (step.code < 0 || step.code >= static_cast<int64_t>(std::size(list)))
        bad_value("program: step ", index, ": there is no primitive ", step.code);
    const Primitive& primitive = list[step.code];
    const auto num_params = static_cast<int>(step.params.size());
    if (static_cast<int>(step.sources.size()) != primitive.num_sources || num_params < primitive.min_params ||
        num_params > primitive.max_params)
        bad_value("program: step ", index, " (", primitive.name, "): ", step.sources.size(), " sources and ",
                  num_params, " parameters");
    return primitive;
}

}  // namespace native
