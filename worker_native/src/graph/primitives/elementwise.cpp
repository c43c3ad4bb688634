// Functions of single elements, and of pairs of them.
#include "graph/primitives/primitive.h"

namespace native {
namespace {

template <auto apply>
ggml_tensor* unary(Site& site) {
    require_plain_f32(site);
    return apply(site.context, site.src[0]);
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

// Gated units of two F32 sources alike: the activation of the first times the second.
template <auto apply>
ggml_tensor* gated(Site& site) {
    require_plain_f32(site);
    site.require(ggml_are_same_shape(site.src[0], site.src[1]), "wants two sources alike");
    return apply(site.context, site.src[0], site.src[1]);
}

ggml_tensor* map(Site& site) {
    const KernelEntry& entry = named_kernel(site, map_kernels());
    for (size_t i = 0; i < site.src.size(); ++i) {
        site.require(has_ne(site.src[i], site.step.ne), "a source has other extents");
        const ggml_type wanted = entry.arity == 3 && i == 0 ? GGML_TYPE_F32 : entry.source;
        site.require(site.src[i]->type == wanted, "a source has another type");
    }
    return custom(site, entry.function);
}

const Primitive list[] = {
    {"add", 2, 0, binary<ggml_add>},
    {"sub", 2, 0, binary<ggml_sub>},
    {"mul", 2, 0, binary<ggml_mul>},
    {"div", 2, 0, binary<ggml_div>},
    {"abs", 1, 0, unary<ggml_abs>},
    {"sgn", 1, 0, unary<ggml_sgn>},
    {"neg", 1, 0, unary<ggml_neg>},
    {"step", 1, 0, unary<ggml_step>},
    {"tanh", 1, 0, unary<ggml_tanh>},
    {"elu", 1, 0, unary<ggml_elu>},
    {"relu", 1, 0, unary<ggml_relu>},
    {"sigmoid", 1, 0, unary<ggml_sigmoid>},
    {"gelu", 1, 0, unary<ggml_gelu>},
    {"gelu_erf", 1, 0, unary<ggml_gelu_erf>},
    {"gelu_quick", 1, 0, unary<ggml_gelu_quick>},
    {"silu", 1, 0, unary<ggml_silu>},
    {"hardswish", 1, 0, unary<ggml_hardswish>},
    {"hardsigmoid", 1, 0, unary<ggml_hardsigmoid>},
    {"exp", 1, 0, unary<ggml_exp>},
    {"expm1", 1, 0, unary<ggml_expm1>},
    {"softplus", 1, 0, unary<ggml_softplus>},
    {"floor", 1, 0, unary<ggml_floor>},
    {"ceil", 1, 0, unary<ggml_ceil>},
    {"trunc", 1, 0, unary<ggml_trunc>},
    {"sqr", 1, 0, unary<ggml_sqr>},
    {"sqrt", 1, 0, unary<ggml_sqrt>},
    {"log", 1, 0, unary<ggml_log>},
    {"sin", 1, 0, unary<ggml_sin>},
    {"cos", 1, 0, unary<ggml_cos>},
    {"scale", 1, 2, scale},
    {"clamp", 1, 2, clamp},
    {"leaky_relu", 1, 1, leaky_relu},
    {"swiglu", 2, 0, gated<ggml_swiglu_split>},
    {"geglu_erf", 2, 0, gated<ggml_geglu_erf_split>},
    {"map", {1, 3}, 0, map, map_kernels},
};

}  // namespace

std::span<const Primitive> elementwise_primitives() { return list; }

}  // namespace native
