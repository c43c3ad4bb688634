#include "slice/zero_layers.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "slice/layer_name.h"

namespace native {
namespace {

bool is_product(const ggml_tensor* tensor) {
    return tensor->op == GGML_OP_MUL_MAT || tensor->op == GGML_OP_MUL_MAT_ID;
}

bool is_supported(const ggml_tensor* tensor) {
    ggml_backend_dev_t device = ggml_backend_buft_get_device(ggml_backend_buffer_get_type(tensor->buffer));
    return !device || ggml_backend_dev_supports_op(device, tensor);  // the CPU's buffers name none
}

// `like`: an operand from which the operation knows the type of what it fills. Where a device cannot fill,
// the operation stays what it is.
void fill_with_zeros(ggml_tensor* tensor, ggml_tensor* like) {
    if (tensor->type != GGML_TYPE_F32 || like->type != GGML_TYPE_F32 || !ggml_is_contiguous(tensor)) return;
    const ggml_tensor before = *tensor;
    tensor->op = GGML_OP_FILL;
    std::fill(std::begin(tensor->op_params), std::end(tensor->op_params), 0);
    std::fill(std::begin(tensor->src), std::end(tensor->src), nullptr);
    tensor->src[0] = like;
    if (!is_supported(tensor)) *tensor = before;
}

}  // namespace

void ZeroLayers::spare(ggml_tensor* tensor) const {
    if (num_layers_ == 0) return;
    const auto is_ours = [this](int32_t layer) { return layer >= 0 && layer < num_layers_; };
    if (is_product(tensor) && is_ours(layer_of_weight(tensor->src[0]->name)))
        fill_with_zeros(tensor, tensor->src[1]);
    else if (tensor->op == GGML_OP_FLASH_ATTN_EXT && is_ours(layer_of_attention(tensor)))
        fill_with_zeros(tensor, tensor->src[0]);
}

}  // namespace native
