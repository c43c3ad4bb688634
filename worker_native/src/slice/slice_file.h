// The role of a slice as its file has it: the keys that the cutter wrote, checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/libllama.h"

namespace native {

inline constexpr int32_t kMaxLayers = 512;  // libllama's LLAMA_MAX_LAYERS, which it asserts

// A model file, or a slice of one: layers [first, end) of num_layers.
struct SliceFile {
    std::string path;
    int32_t num_blocks = 0;  // layers in this file, those that predict further tokens not counted
    int32_t first = 0;
    int32_t end = 0;
    int32_t num_layers = 0;
    int32_t vocab_size = 0;  // the whole model's; 0 if the file does not say (a whole model)
    int32_t key_width = 0;   // one head's; 0 if unknown
    int32_t value_width = 0;
    int32_t num_kv_heads = 0;                          // a layer's; 0 if unknown or not the same in all
    int32_t pooling = LLAMA_POOLING_TYPE_UNSPECIFIED;  // how the model makes one vector of a text's rows

    // It makes no text, and its graph reads no cache, though libllama makes one for it.
    bool is_encoder = false;
    // Tokens in front of the decoder's start token are read by an encoder, those from there on by the
    // decoder.
    bool encodes_prompt = false;
    bool needs_tokens = false;                                      // its graph takes no rows in their place
    std::vector<std::string> normed{"result_norm", "result_embd"};  // where rows are behind the last norm

    // A row has a part for each of `inputs`. Where they enter: names of tensors, `name@other` if the part is
    // to be written once `other` is computed, empty if no layer here reads it. Where they leave: `outputs`,
    // empty if a part is handed on as it came, or zeros if none came. `name[n]` are the rows of the n-th
    // matrix of a tensor.
    std::vector<std::string> inputs{"embd"};
    std::vector<std::string> outputs;
    int32_t num_in_front = 0;  // layers of zeros in front of its own
    int32_t hidden_width = 0;  // a row's; 0 if it is the model's own width

    // Factors that libllama would derive from the number of layers: what they are in the whole model
    // (layer_scales.h). Each of `num_blocks` layers has one, none where there are no names.
    std::vector<std::string> scaled;
    std::vector<float> scales;
    std::vector<float> derived_scales;
    // For each layer of the file, whether it attends to the last `window_size` tokens only, where the graph
    // would do it in none (windows.h); else empty.
    std::vector<uint8_t> slides;
    int32_t window_size = 0;
    // How keys and queries are rotated (GGML_ROPE_TYPE_*), where the graph would do it in another way.
    std::optional<int32_t> rope_mode;
    // What logits are multiplied with, where the graph does not do it.
    std::optional<float> logit_scale;

    bool is_whole() const { return first == 0 && end == num_layers; }
    bool is_first() const { return first == 0; }
    bool is_last() const { return end == num_layers; }
    bool ranks() const { return pooling == LLAMA_POOLING_TYPE_RANK; }
    bool pools() const { return pooling > LLAMA_POOLING_TYPE_NONE; }
};

SliceFile read_slice_file(const std::string& path);

}  // namespace native
