#include "graph/primitives/site.h"

#include <algorithm>
#include <string_view>

namespace native {

bool is_float(ggml_type type) {
    return type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16;
}

bool has_ne(const ggml_tensor* t, const std::array<int64_t, 4>& ne) {
    return std::equal(ne.begin(), ne.end(), t->ne);
}

bool has_rows(const ggml_tensor* t) {
    return t->nb[0] == ggml_type_size(t->type) && t->nb[1] >= ggml_row_size(t->type, t->ne[0]);
}

void require_plain_f32(const Site& site) {
    for (const ggml_tensor* t : site.src) site.require(is_f32(t) && is_plain(t), "wants contiguous F32");
}

void require_indices(const Site& site, const ggml_tensor* indices) {
    site.require(indices->type == GGML_TYPE_I64 && is_plain(indices), "wants contiguous I64 indices");
}

ggml_tensor* custom(Site& site, KernelFunction function) {
    site.kernels.push_back(std::make_unique<Kernel>(Kernel{site.step.params, site.index, &site.fault}));
    const auto& ne = site.step.ne;
    return ggml_custom_4d(site.context, site.step.type, ne[0], ne[1], ne[2], ne[3], site.src.data(),
                          static_cast<int>(site.src.size()), function, GGML_N_TASKS_MAX,
                          site.kernels.back().get());
}

const KernelEntry& named_kernel(const Site& site, std::span<const KernelEntry> family) {
    const std::string_view name = std::string_view(site.step.name).substr(site.step.name.find(':') + 1);
    const auto num_sources = static_cast<int>(site.src.size());
    const auto found = std::ranges::find_if(family, [&](const KernelEntry& entry) {
        return name == entry.name && entry.arity == num_sources && entry.source == site.src.back()->type;
    });
    site.require(found != family.end(), "there is no such kernel for these sources");
    site.require(found->result == site.step.type, "the result has another type");
    return *found;
}

}  // namespace native
