#include "slice/slice_file.h"

#include <optional>
#include <utility>

#include "base/check.h"
#include "gguf/file.h"
#include "gguf/tokenizer.h"

namespace native {
namespace {

constexpr int64_t kMaxScaled = 4;
constexpr int64_t kMaxParts = 512;  // one for each layer

std::string architecture_of(const gguf_context* file) {
    const auto architecture = find_string(file, "general.architecture");
    if (!architecture) bad_value("general.architecture: missing; this is not a model file");
    return *architecture;
}

void read_role(const gguf_context* file, SliceFile& slice) {
    const auto first = find_u32(file, "ggml_cluster.slice.first");
    const auto end = find_u32(file, "ggml_cluster.slice.end");
    const auto num_layers = find_u32(file, "ggml_cluster.slice.num_layers");
    const auto vocab_size = find_u32(file, "ggml_cluster.slice.vocab_size");
    if (!first && !end && !num_layers && !vocab_size) {
        slice.end = slice.num_layers = slice.num_blocks;
        return;
    }
    if (!first || !end || !num_layers || !vocab_size)
        bad_value(
            "ggml_cluster.slice: needs first, end, num_layers and vocab_size, some are missing; cut again");
    if (*num_layers > kMaxLayers || *first >= *end || *end > *num_layers ||
        *end - *first > uint32_t(slice.num_blocks))
        bad_value("ggml_cluster.slice: layers [", *first, ", ", *end, ") of ", *num_layers, " in a file of ",
                  slice.num_blocks, " layers; cut again");
    slice.first = static_cast<int32_t>(*first);
    slice.end = static_cast<int32_t>(*end);
    slice.num_layers = static_cast<int32_t>(*num_layers);
    slice.vocab_size = in_range("ggml_cluster.slice.vocab_size", *vocab_size, 1, INT32_MAX);
}

void check_port(const std::string& name) {
    if (name.empty() || name.size() >= 2 * GGML_MAX_NAME)
        bad_value("ggml_cluster.slice: '", name, "' names no tensor; cut again");
}

// The first names a tensor, the others may be empty.
void check_ports(const std::vector<std::string>& names) {
    check_port(names.front());
    for (const std::string& name : names)
        if (!name.empty()) check_port(name);
}

// Empty if the file has no such key.
std::vector<std::string> read_names(const gguf_context* file, const char* key, int64_t most) {
    std::vector<std::string> names;
    const auto count = find_array(file, key, GGUF_TYPE_STRING);
    if (!count) return names;
    in_range(key, *count, 1, most);
    for (size_t i = 0; i < *count; ++i)
        names.emplace_back(gguf_get_arr_str(file, gguf_find_key(file, key), i));
    return names;
}

// The first slice reads further parts where the others have them written; those hand them on.
std::vector<std::string> usual_outputs(const SliceFile& slice) {
    std::vector<std::string> outputs{text("l_out-", slice.num_blocks - 1)};
    for (size_t part = 1; part < slice.inputs.size(); ++part)
        outputs.push_back(slice.is_first() ? slice.inputs[part].substr(0, slice.inputs[part].find('@')) : "");
    return outputs;
}

// Where hidden rows enter and leave; the defaults suit most architectures.
void read_ports(const gguf_context* file, SliceFile& slice) {
    const auto inputs = read_names(file, "ggml_cluster.slice.inputs", kMaxParts);
    if (!inputs.empty()) slice.inputs = inputs;
    slice.outputs = read_names(file, "ggml_cluster.slice.outputs", kMaxParts);
    if (slice.outputs.empty()) slice.outputs = usual_outputs(slice);
    if (slice.outputs.size() != slice.inputs.size())
        bad_value("ggml_cluster.slice.outputs: ", slice.outputs.size(), " of them for ", slice.inputs.size(),
                  " inputs; cut again");
    check_ports(slice.inputs);
    check_ports(slice.outputs);
    const auto in_front = find_u32(file, "ggml_cluster.slice.in_front").value_or(0);
    slice.num_in_front = in_range("ggml_cluster.slice.in_front", in_front, 0, slice.num_blocks - 1);
    const auto width = find_u32(file, "ggml_cluster.slice.hidden_width");
    if (width) slice.hidden_width = in_range("ggml_cluster.slice.hidden_width", *width, 1, 1 << 24);
    if (slice.hidden_width % std::ssize(slice.inputs) != 0)
        bad_value("ggml_cluster.slice.hidden_width: ", slice.hidden_width, " is no multiple of its ",
                  slice.inputs.size(), " inputs; cut again");
}

// One for each layer of the file.
std::vector<float> read_factors(const gguf_context* file, const char* key, int32_t num_blocks) {
    const auto count = find_array(file, key, GGUF_TYPE_FLOAT32);
    if (!count || *count != size_t(num_blocks))
        bad_value(key, ": has ", count.value_or(0), " factors for ", num_blocks, " layers; cut again");
    const auto* factors = static_cast<const float*>(gguf_get_arr_data(file, gguf_find_key(file, key)));
    return {factors, factors + *count};
}

void read_scales(const gguf_context* file, SliceFile& slice) {
    slice.scaled = read_names(file, "ggml_cluster.slice.scaled", kMaxScaled);
    for (const std::string& name : slice.scaled) check_port(name);
    if (slice.scaled.empty()) return;
    slice.scales = read_factors(file, "ggml_cluster.slice.scales", slice.num_blocks);
    slice.derived_scales = read_factors(file, "ggml_cluster.slice.derived_scales", slice.num_blocks);
}

void read_windows(const gguf_context* file, SliceFile& slice) {
    const char *size_key = "ggml_cluster.slice.window", *key = "ggml_cluster.slice.slides";
    const auto size = find_u32(file, size_key);
    if (!size) return;
    slice.window_size = in_range(size_key, *size, 1, INT32_MAX);
    const auto count = find_array(file, key, GGUF_TYPE_UINT32);
    if (!count || *count != size_t(slice.num_blocks))
        bad_value(key, ": has ", count.value_or(0), " flags for ", slice.num_blocks, " layers; cut again");
    const auto* flags = static_cast<const uint32_t*>(gguf_get_arr_data(file, gguf_find_key(file, key)));
    for (size_t layer = 0; layer < *count; ++layer) slice.slides.push_back(flags[layer] != 0);
}

void read_rope_mode(const gguf_context* file, SliceFile& slice) {
    const char* key = "ggml_cluster.slice.rope_mode";
    const auto mode = find_u32(file, key);
    if (mode && *mode != GGML_ROPE_TYPE_NORMAL && *mode != GGML_ROPE_TYPE_NEOX)
        bad_value(key, ": ", *mode, " is neither ", GGML_ROPE_TYPE_NORMAL, " nor ", GGML_ROPE_TYPE_NEOX,
                  "; cut again");
    if (mode) slice.rope_mode = static_cast<int32_t>(*mode);
}

// A key that may hold one number or one per layer; 0 unless it is one plain number.
int32_t number_or_zero(const gguf_context* file, const std::string& key) {
    const int64_t id = gguf_find_key(file, key.c_str());
    if (id < 0 || gguf_get_kv_type(file, id) != GGUF_TYPE_UINT32) return 0;
    const uint32_t value = gguf_get_val_u32(file, id);
    return value <= INT32_MAX ? static_cast<int32_t>(value) : 0;
}

void read_heads(const gguf_context* file, const std::string& architecture, SliceFile& slice) {
    const int32_t num_heads = number_or_zero(file, architecture + ".attention.head_count");
    const int32_t width = number_or_zero(file, architecture + ".embedding_length");
    const int32_t head_width = num_heads > 0 ? width / num_heads : 0;
    const int32_t key_width = number_or_zero(file, architecture + ".attention.key_length");
    const int32_t value_width = number_or_zero(file, architecture + ".attention.value_length");
    const int32_t num_kv_heads = number_or_zero(file, architecture + ".attention.head_count_kv");
    slice.key_width = key_width ? key_width : head_width;
    slice.value_width = value_width ? value_width : head_width;
    slice.num_kv_heads = num_kv_heads ? num_kv_heads : num_heads;
}

void read_pooling(const gguf_context* file, const std::string& architecture, SliceFile& slice) {
    const std::string key = architecture + ".pooling_type";
    const auto pooling = find_u32(file, key.c_str());
    if (!pooling || *pooling == UINT32_MAX) return;  // not said
    slice.pooling = in_range(key.c_str(), *pooling, LLAMA_POOLING_TYPE_NONE, LLAMA_POOLING_TYPE_RANK);
}

void read_kind(const std::string& architecture, SliceFile& slice) {
    slice.is_encoder = architecture == "t5encoder" || architecture == "llama-embed";
    slice.encodes_prompt = architecture == "t5";
    slice.needs_tokens = architecture == "graniteswitch";
    if (architecture == "modern-bert") slice.normed = {"final_norm_out"};
    // There, "result_embd" is what goes into the last norm.
    if (architecture == "t5encoder" || architecture == "t5") slice.normed = {"result_norm"};
}

}  // namespace

SliceFile read_slice_file(const std::string& path) {
    const GgufPtr file = open_gguf(path);
    SliceFile slice;
    slice.path = path;
    const std::string architecture = architecture_of(file.get());
    const auto num_blocks = find_u32(file.get(), architecture + ".block_count");
    if (!num_blocks) bad_value(architecture, ".block_count: missing; this is not a model file");
    slice.num_blocks = in_range((architecture + ".block_count").c_str(), *num_blocks, 1, kMaxLayers);
    const auto num_further = find_u32(file.get(), architecture + ".nextn_predict_layers").value_or(0);
    slice.num_blocks -= in_range("nextn_predict_layers", num_further, 0, slice.num_blocks - 1);
    check_tokenizer(file.get());
    read_role(file.get(), slice);
    read_ports(file.get(), slice);
    read_scales(file.get(), slice);
    read_windows(file.get(), slice);
    read_rope_mode(file.get(), slice);
    slice.logit_scale = find_f32(file.get(), "ggml_cluster.slice.logit_scale");
    read_heads(file.get(), architecture, slice);
    read_pooling(file.get(), architecture, slice);
    read_kind(architecture, slice);
    return slice;
}

}  // namespace native
