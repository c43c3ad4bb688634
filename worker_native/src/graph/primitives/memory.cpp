// Inputs, views, copies and conversions, which move elements and compute nothing.
#include <limits>

#include "graph/primitives/primitive.h"

namespace native {
namespace {

ggml_tensor* input(Site& site) {
    ggml_tensor* t = ggml_new_tensor(site.context, site.step.type, 4, site.step.ne.data());
    ggml_set_input(t);
    return t;
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
    // The stride of an axis with one element tells nothing, but ggml asserts that those of contiguous tensors
    // are dense.
    size_t dense = static_cast<size_t>(size_bytes);
    for (size_t axis = 0; axis < 4; ++axis) {
        const int64_t count = axis == 0 ? step.ne[0] / block : step.ne[axis];
        t->ne[axis] = step.ne[axis];
        t->nb[axis] = count == 1 ? dense : static_cast<size_t>(step.params[axis]);
        dense = t->nb[axis] * static_cast<size_t>(count);
    }
    return t;
}

ggml_tensor* cont(Site& site) {
    site.require(ggml_blck_size(site.src[0]->type) == 1, "cannot move single elements of a quantised type");
    site.require(has_ne(site.src[0], site.step.ne), "changes the extents");
    return ggml_cont(site.context, site.src[0]);
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

const Primitive list[] = {
    {"input", 0, 0, input},     {"view", 1, 5, view},         {"cont", 1, 0, cont},
    {"cast", 1, 0, cast},       {"concat", 2, 1, concat},     {"repeat", 1, 0, repeat},
    {"copy", 1, {4, 18}, copy}, {"paste", 2, {4, 18}, paste},
};

}  // namespace

std::span<const Primitive> memory_primitives() { return list; }

}  // namespace native
