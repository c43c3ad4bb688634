#include "graph/primitives/registry.h"

#include <map>

namespace native {
namespace {

using Table = std::map<std::string_view, const Primitive*>;

const Table& table() {
    static const Table all = [] {
        Table filled;
        for (const auto kind : {memory_primitives, elementwise_primitives, row_primitives, product_primitives,
                                attention_primitives, index_primitives, recurrent_primitives,
                                fourier_primitives, spatial_primitives, training_primitives})
            for (const Primitive& primitive : kind()) filled.emplace(primitive.name, &primitive);
        return filled;
    }();
    return all;
}

const Primitive* find_primitive(std::string_view name) {
    const auto at = table().find(name);
    return at == table().end() ? nullptr : at->second;
}

}  // namespace

std::vector<std::string> primitive_names() {
    std::vector<std::string> names;
    for (const auto& [name, _] : table()) names.emplace_back(name);
    return names;
}

const Primitive& primitive_of(const Step& step, int64_t index) {
    const size_t colon = step.name.find(':');
    const Primitive* primitive = find_primitive(std::string_view(step.name).substr(0, colon));
    if (!primitive) bad_value("program: step ", index, ": there is no primitive '", step.name, "'");
    if ((primitive->kernels != nullptr) != (colon != std::string::npos))
        bad_value("program: step ", index, " (", step.name,
                  "): ", primitive->kernels ? "names no kernel" : "has no kernels to choose from");
    if (!primitive->num_sources.holds(step.sources.size()) ||
        !primitive->num_params.holds(step.params.size()))
        bad_value("program: step ", index, " (", step.name, "): ", step.sources.size(), " sources and ",
                  step.params.size(), " parameters");
    return *primitive;
}

std::span<const KernelEntry> kernel_family(const std::string& primitive) {
    const Primitive* found = find_primitive(primitive);
    if (!found || !found->kernels) bad_value("kernels: there is no family '", primitive, "'");
    return found->kernels();
}

}  // namespace native
