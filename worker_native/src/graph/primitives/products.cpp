// Products of matrices, and systems of triangular ones.
#include "graph/primitives/primitive.h"

namespace native {
namespace {

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

// Sources: lower triangles [n, n, ...], right sides [k, n, ...]. params: none.
ggml_tensor* solve_tri(Site& site) {
    const ggml_tensor *a = site.src[0], *b = site.src[1];
    require_plain_f32(site);
    site.require(a->ne[0] == a->ne[1] && a->ne[1] == b->ne[1], "wants square triangles that fit");
    site.require(a->ne[2] == b->ne[2] && a->ne[3] == b->ne[3], "the outer extents differ");
    return ggml_solve_tri(site.context, site.src[0], site.src[1], true, true, false);
}

const Primitive list[] = {
    {"mul_mat", 2, 1, mul_mat},
    {"solve_tri", 2, 0, solve_tri},
};

}  // namespace

std::span<const Primitive> product_primitives() { return list; }

}  // namespace native
