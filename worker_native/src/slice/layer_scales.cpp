#include "slice/layer_scales.h"

#include <cmath>
#include <cstring>

#include "base/check.h"
#include "slice/layer_name.h"

namespace native {
namespace {

// Where the layer is noted in an operation whose factor was set, since libllama uses graphs again:
// `ggml_scale` has two parameters, and those that an operation has not are zeros.
constexpr size_t kNoted = GGML_MAX_OP_PARAMS / sizeof(int32_t) - 1;
static_assert(kNoted >= 2);

float factor_of(const ggml_tensor* tensor) {
    float factor = 0;
    std::memcpy(&factor, tensor->op_params, sizeof(factor));
    return factor;
}

}  // namespace

void LayerScales::begin() {
    problem_.clear();
    is_set_.assign(names_.size() * scales_.size(), 0);
}

void LayerScales::set(ggml_tensor* tensor) {
    if (names_.empty() || tensor->op != GGML_OP_SCALE) return;
    const LayerName own = parsed_name(tensor->name), source = parsed_name(tensor->src[0]->name);
    for (size_t i = 0; i < names_.size(); ++i) {
        if (own.base != names_[i] && source.base != names_[i]) continue;
        int32_t layer = own.base == names_[i] ? own.layer : source.layer;
        if (layer == kNoLayer) layer = layer_by_factor(tensor);
        if (layer < 0 || layer >= std::ssize(scales_)) {
            problem_ =
                text(names_[i], " is multiplied by ", factor_of(tensor), ", which is no layer's factor");
            return;
        }
        if (std::isnan(scales_[layer])) return;
        std::memcpy(tensor->op_params, &scales_[layer], sizeof(float));
        tensor->op_params[kNoted] = layer + 1;
        is_set_[i * scales_.size() + layer] = 1;
        return;
    }
}

int32_t LayerScales::layer_by_factor(const ggml_tensor* tensor) const {
    if (tensor->op_params[kNoted] > 0) return tensor->op_params[kNoted] - 1;
    if (derived_.size() == 1) return 0;
    for (int32_t layer = 0; layer < std::ssize(derived_); ++layer)
        if (derived_[layer] == factor_of(tensor)) return layer;
    return kNoLayer;
}

void LayerScales::finish() const {
    if (!problem_.empty()) failed("layer scales: ", problem_, "; this architecture cannot be cut");
    for (size_t i = 0; i < is_set_.size(); ++i)
        if (const size_t layer = i % scales_.size(); !is_set_[i] && !std::isnan(scales_[layer]))
            failed("layer scales: the graph multiplies no ", names_[i / scales_.size()], " of layer ", layer,
                   "; this architecture cannot be cut");
}

}  // namespace native
