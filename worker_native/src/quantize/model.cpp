#include "quantize/model.h"

#include <cstring>

#include "base/check.h"
#include "base/log.h"

namespace native {
namespace {

struct FileType {
    const char* name;
    llama_ftype number;
};

constexpr FileType file_types[] = {
    {"F32", LLAMA_FTYPE_ALL_F32},
    {"F16", LLAMA_FTYPE_MOSTLY_F16},
    {"BF16", LLAMA_FTYPE_MOSTLY_BF16},
    {"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
    {"Q6_K", LLAMA_FTYPE_MOSTLY_Q6_K},
    {"Q5_K_M", LLAMA_FTYPE_MOSTLY_Q5_K_M},
    {"Q5_K_S", LLAMA_FTYPE_MOSTLY_Q5_K_S},
    {"Q5_1", LLAMA_FTYPE_MOSTLY_Q5_1},
    {"Q5_0", LLAMA_FTYPE_MOSTLY_Q5_0},
    {"Q4_K_M", LLAMA_FTYPE_MOSTLY_Q4_K_M},
    {"Q4_K_S", LLAMA_FTYPE_MOSTLY_Q4_K_S},
    {"Q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},
    {"Q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
    {"IQ4_NL", LLAMA_FTYPE_MOSTLY_IQ4_NL},
    {"IQ4_XS", LLAMA_FTYPE_MOSTLY_IQ4_XS},
    {"MXFP4_MOE", LLAMA_FTYPE_MOSTLY_MXFP4_MOE},
    {"Q3_K_L", LLAMA_FTYPE_MOSTLY_Q3_K_L},
    {"Q3_K_M", LLAMA_FTYPE_MOSTLY_Q3_K_M},
    {"Q3_K_S", LLAMA_FTYPE_MOSTLY_Q3_K_S},
    {"IQ3_M", LLAMA_FTYPE_MOSTLY_IQ3_M},
    {"IQ3_S", LLAMA_FTYPE_MOSTLY_IQ3_S},
    {"IQ3_XS", LLAMA_FTYPE_MOSTLY_IQ3_XS},
    {"IQ3_XXS", LLAMA_FTYPE_MOSTLY_IQ3_XXS},
    {"Q2_K", LLAMA_FTYPE_MOSTLY_Q2_K},
    {"Q2_K_S", LLAMA_FTYPE_MOSTLY_Q2_K_S},
    {"Q2_0", LLAMA_FTYPE_MOSTLY_Q2_0},
    {"IQ2_M", LLAMA_FTYPE_MOSTLY_IQ2_M},
    {"IQ2_S", LLAMA_FTYPE_MOSTLY_IQ2_S},
    {"IQ2_XS", LLAMA_FTYPE_MOSTLY_IQ2_XS},
    {"IQ2_XXS", LLAMA_FTYPE_MOSTLY_IQ2_XXS},
    {"TQ2_0", LLAMA_FTYPE_MOSTLY_TQ2_0},
    {"TQ1_0", LLAMA_FTYPE_MOSTLY_TQ1_0},
    {"IQ1_M", LLAMA_FTYPE_MOSTLY_IQ1_M},
    {"IQ1_S", LLAMA_FTYPE_MOSTLY_IQ1_S},
    {"Q1_0", LLAMA_FTYPE_MOSTLY_Q1_0},
};

// The most that is held of one tensor at a time; libllama's own bound is 8 GiB.
constexpr size_t max_tensor_bytes = size_t(512) << 20;

llama_model_kv_override override_named(const std::string& key, llama_model_kv_override_type tag) {
    llama_model_kv_override item{};
    item.tag = tag;
    if (key.empty() || key.size() >= sizeof item.key) bad_value("metadata: a key of ", key.size(), " bytes");
    std::memcpy(item.key, key.data(), key.size());
    return item;
}

std::vector<llama_model_kv_override> overrides_of(const ModelQuantizeJob& job) {
    std::vector<llama_model_kv_override> items;
    for (const auto& [key, text] : job.texts) {
        items.push_back(override_named(key, LLAMA_KV_OVERRIDE_TYPE_STR));
        std::strncpy(items.back().val_str, text.c_str(), sizeof items.back().val_str - 1);
    }
    for (const auto& [key, number] : job.numbers) {
        items.push_back(override_named(key, LLAMA_KV_OVERRIDE_TYPE_INT));
        items.back().val_i64 = number;
    }
    items.push_back({});  // an empty key ends the list
    return items;
}

}  // namespace

void quantize_model(const ModelQuantizeJob& job) {
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype = job.file_type;
    params.nthread = job.num_threads;
    params.allow_requantize = job.allow_requantize;
    params.quantize_output_tensor = job.quantize_output;
    params.pure = job.pure;
    params.dry_run = job.dry_run;
    params.max_buf_size = max_tensor_bytes;
    if (job.output_type) params.output_tensor_type = *job.output_type;
    if (job.embedding_type) params.token_embedding_type = *job.embedding_type;

    std::vector<llama_model_tensor_override> tensor_types;
    for (const auto& [pattern, type] : job.tensor_types) tensor_types.push_back({pattern.c_str(), type});
    tensor_types.push_back({nullptr, GGML_TYPE_COUNT});
    if (!job.tensor_types.empty()) params.tt_overrides = tensor_types.data();

    std::vector<llama_model_imatrix_data> importance = job.importance;
    importance.push_back({nullptr, nullptr, 0});
    if (!job.importance.empty()) params.imatrix = importance.data();

    const auto overrides = overrides_of(job);
    if (overrides.size() > 1) params.kv_overrides = overrides.data();

    const LoggedErrors errors;
    if (llama_model_quantize(job.source.c_str(), job.target.c_str(), &params) != 0)
        failed(errors.first("libllama gave no reason"));
}

std::vector<std::tuple<std::string, int>> model_file_types() {
    std::vector<std::tuple<std::string, int>> rows;
    for (const FileType& type : file_types) rows.emplace_back(type.name, int(type.number));
    return rows;
}

llama_ftype file_type_of(int64_t number) {
    for (const FileType& type : file_types)
        if (int64_t(type.number) == number) return type.number;
    bad_value("file type ", number, ": is not known");
}

}  // namespace native
