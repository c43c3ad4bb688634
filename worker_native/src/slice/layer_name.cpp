#include "slice/layer_name.h"

#include <charconv>

namespace native {
namespace {

// Without what ggml puts around the name of a copy.
std::string_view original(std::string_view name) {
    if (const size_t begin = name.find('#'); begin != std::string_view::npos) {
        name.remove_prefix(begin + 1);
        name = name.substr(0, name.rfind('#'));
    }
    return name;
}

int32_t number(std::string_view digits) {
    int32_t found = kNoLayer;
    const char* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, found);
    return error == std::errc{} && stop == end ? found : kNoLayer;
}

}  // namespace

LayerName parsed_name(const char* tensor_name) {
    const std::string_view name = original(tensor_name);
    const size_t dash = name.rfind('-');
    if (dash == std::string_view::npos) return {name};
    const int32_t layer = number(name.substr(dash + 1));
    return layer == kNoLayer ? LayerName{name} : LayerName{name.substr(0, dash), layer};
}

int32_t layer_of_weight(const char* tensor_name) {
    constexpr std::string_view kBegin = "blk.";
    std::string_view name = original(tensor_name);
    if (!name.starts_with(kBegin)) return kNoLayer;
    name.remove_prefix(kBegin.size());
    return number(name.substr(0, name.find('.')));
}

int32_t layer_of_attention(const ggml_tensor* tensor) {
    if (tensor->op == GGML_OP_SOFT_MAX) {
        const LayerName name = parsed_name(tensor->name);
        return name.base == "kq_soft_max" ? name.layer : kNoLayer;
    }
    if (tensor->op != GGML_OP_FLASH_ATTN_EXT) return kNoLayer;
    // It has no name of its own, but its keys are a part of "cache_k_l3".
    const ggml_tensor* keys = tensor->src[1];
    const std::string_view name = original(keys->view_src ? keys->view_src->name : keys->name);
    const size_t at = name.rfind("_l");
    return at == std::string_view::npos ? kNoLayer : number(name.substr(at + 2));
}

}  // namespace native
