// Attention, and the rotation of its queries and keys.
#include <limits>

#include "graph/primitives/primitive.h"

namespace native {
namespace {

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

// Sources: [2 n, T, H, B] with contiguous rows, cosines and sines alike, whose outer axes may be 1. No
// params.
ggml_tensor* rotate(Site& site) {
    const ggml_tensor* x = site.src[0];
    for (const ggml_tensor* t : site.src) {
        site.require(is_f32(t) && has_rows(t) && t->ne[0] == x->ne[0], "wants rows of F32 of one length");
        for (int axis = 1; axis < 4; ++axis) {
            site.require(t->nb[axis] % sizeof(float) == 0, "wants whole elements between rows");
            site.require(t->ne[axis] == 1 || t->ne[axis] == x->ne[axis], "the tables do not repeat");
        }
    }
    site.require(x->ne[0] % 2 == 0, "wants an even number of elements in a row");
    site.require(site.step.type == GGML_TYPE_F32 && has_ne(x, site.step.ne), "the result has other extents");
    return custom(site, rotate_kernel());
}

const Primitive list[] = {
    {"flash_attn", 3, 1, flash_attn}, {"flash_attn_mask", 4, 1, flash_attn},
    {"attend", 3, 1, attend},         {"rope", 2, 9, rope},
    {"rope_divided", 3, 9, rope},     {"rotate", 3, 0, rotate},
};

}  // namespace

std::span<const Primitive> attention_primitives() { return list; }

}  // namespace native
