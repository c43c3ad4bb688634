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

// Sources: matrices [K, N, E] with contiguous rows, F32 rows [K, 1, M], I32 [1, M] that an index step has
// checked: each row times the matrix that its number names. params: whether to accumulate in F32.
ggml_tensor* mul_mat_id(Site& site) {
    ggml_tensor *matrices = site.src[0], *rows = site.src[1], *numbers = site.src[2];
    const ggml_type type = matrices->type;
    site.require(is_float(type) || ggml_is_quantized(type), "the first source cannot be multiplied");
    site.require(type != GGML_TYPE_Q8_1 && type != GGML_TYPE_Q8_K, "the first source cannot be multiplied");
    site.require(is_plain(matrices) && matrices->ne[3] == 1, "wants contiguous matrices in three axes");
    site.require(is_f32(rows) && is_plain(rows), "wants contiguous F32 rows");
    site.require(has_ne(rows, {matrices->ne[0], 1, rows->ne[2], 1}), "the inner extents differ");
    site.require(numbers->op == GGML_OP_CUSTOM && numbers->type == GGML_TYPE_I32, "wants checked numbers");
    site.require(has_ne(numbers, {1, rows->ne[2], 1, 1}), "wants a number for each row");
    ggml_tensor* t = ggml_mul_mat_id(site.context, matrices, rows, numbers);
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

// The elements of the panels of rows [K, M]; a product whose extents come from two tensors may overflow.
int64_t panel_elements(const Site& site, int64_t depth, int64_t num_rows) {
    const int64_t num_padded = packed_elements(1, num_rows);
    site.require(num_padded <= max_elements / depth, "is too large");
    return packed_elements(depth, num_rows);
}

// Rows [K, M] to panels of them, for "multiply". No params.
ggml_tensor* pack(Site& site) {
    require_plain_f32(site);
    const ggml_tensor* src = site.src[0];
    site.require(site.step.type == GGML_TYPE_F32 &&
                     site.step.ne ==
                         std::array<int64_t, 4>{panel_elements(site, src->ne[0], ggml_nrows(src)), 1, 1, 1},
                 "the result has another size");
    return custom(site, pack_kernel());
}

// Sources: packed rows, F32 weights [K, N] and perhaps a bias [N]; result [N, M]. No params.
ggml_tensor* multiply(Site& site) {
    require_plain_f32(site);
    const ggml_tensor *packed = site.src[0], *weight = site.src[1];
    const auto& ne = site.step.ne;
    site.require(site.step.type == GGML_TYPE_F32 && ne[2] == 1 && ne[3] == 1, "makes F32 with two axes");
    site.require(weight->ne[2] == 1 && weight->ne[3] == 1 && weight->ne[1] == ne[0],
                 "wants a row for each output");
    site.require(ggml_nelements(packed) == panel_elements(site, weight->ne[0], ne[1]),
                 "the panels do not fit");
    if (site.src.size() == 3) site.require(ggml_nelements(site.src[2]) == ne[0], "the bias does not fit");
    return custom(site, multiply_kernel());
}

// The highest element that a pattern of extents and strides reaches, which must lie before `limit`.
void require_reach(const Site& site, std::initializer_list<std::array<int64_t, 2>> axes, int64_t offset,
                   int64_t limit) {
    site.require(offset >= 0 && offset < limit, "starts outside its source");
    for (const auto& [extent, stride] : axes) {
        site.require(extent >= 1 && stride >= 0, "has a bad extent or stride");
        site.require(stride == 0 || extent - 1 <= (limit - 1 - offset) / stride, "leaves its source");
        offset += (extent - 1) * stride;
    }
}

// Sources: F32 matrices of any strides, and matrices of any type in rows without gaps; params: see
// product_kernel.
ggml_tensor* product(Site& site) {
    const ggml_tensor *left = site.src[0], *right = site.src[1];
    const auto at = [&site](size_t place) { return site.integer(place); };
    const int64_t block = ggml_blck_size(right->type), columns = at(4);
    site.require(is_plain_f32(left) && is_plain(right), "wants contiguous sources, the first F32");
    site.require(is_f32(right) || ggml_get_type_traits(right->type)->to_float,
                 "the second source cannot be read");
    site.require(columns >= 1 && columns % 16 == 0 && columns % block == 0, "wants whole vectors of columns");
    site.require(site.step.type == GGML_TYPE_F32 &&
                     site.step.ne == std::array<int64_t, 4>{columns, at(2), at(1), at(0)},
                 "the result has another size");
    for (size_t place = 10; place < 14; ++place) site.require(at(place) % block == 0, "cuts a block");
    require_reach(site, {{at(0), at(5)}, {at(1), at(6)}, {at(2), at(7)}, {at(3), at(8)}}, at(9),
                  ggml_nelements(left));
    require_reach(site, {{at(0), at(10)}, {at(1), at(11)}, {at(3), at(12)}, {columns, 1}}, at(13),
                  ggml_nelements(right));
    return custom(site, product_kernel());
}

const Primitive list[] = {
    {"mul_mat", 2, 1, mul_mat},       {"pack", 1, 0, pack},
    {"multiply", 2, 0, multiply},     {"multiply_bias", 3, 0, multiply},
    {"mul_mat_id", 3, 1, mul_mat_id}, {"solve_tri", 2, 0, solve_tri},
    {"product", 2, 14, product},
};

}  // namespace

std::span<const Primitive> product_primitives() { return list; }

}  // namespace native
