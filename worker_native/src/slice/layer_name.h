// What the names of tensors in libllama's graphs say of layers.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/libllama.h"

namespace native {

inline constexpr int32_t kNoLayer = -1;

struct LayerName {
    std::string_view base;
    int32_t layer = kNoLayer;
};

// "Qcur-12" is Qcur of layer 12; "CUDA0#slopes#0" is a copy of slopes.
LayerName parsed_name(const char* tensor_name);

// Of "blk.3.attn_q.weight", or a copy of it.
int32_t layer_of_weight(const char* tensor_name);

// Of the operation that weighs what is in the cache; kNoLayer for all others.
int32_t layer_of_attention(const ggml_tensor* tensor);

}  // namespace native
