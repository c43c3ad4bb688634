#include "slice/load.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/abort_guard.h"
#include "base/check.h"
#include "base/log.h"

namespace native {
namespace {

constexpr int64_t max_threads = 512;  // ggml's GGML_MAX_N_THREADS, which it asserts
constexpr int64_t max_cells = int64_t(1) << 30;
constexpr int64_t max_rows = 65536;

constexpr std::array<std::pair<const char*, ggml_type>, 9> cache_types{{{"f32", GGML_TYPE_F32},
                                                                        {"f16", GGML_TYPE_F16},
                                                                        {"bf16", GGML_TYPE_BF16},
                                                                        {"q8_0", GGML_TYPE_Q8_0},
                                                                        {"q4_0", GGML_TYPE_Q4_0},
                                                                        {"q4_1", GGML_TYPE_Q4_1},
                                                                        {"iq4_nl", GGML_TYPE_IQ4_NL},
                                                                        {"q5_0", GGML_TYPE_Q5_0},
                                                                        {"q5_1", GGML_TYPE_Q5_1}}};

ggml_type cache_type(const char* what, const std::string& name) {
    std::string known;
    for (const auto& [known_name, type] : cache_types) {
        if (name == known_name) return type;
        known += text(known.empty() ? "" : ", ", known_name);
    }
    bad_value(what, ": '", name, "' is no KV cache type; choose from ", known);
}

llama_flash_attn_type flash_attention(const std::string& name) {
    if (name == "auto") return LLAMA_FLASH_ATTN_TYPE_AUTO;
    if (name == "on") return LLAMA_FLASH_ATTN_TYPE_ENABLED;
    if (name == "off") return LLAMA_FLASH_ATTN_TYPE_DISABLED;
    bad_value("flash_attn: '", name, "'; choose from auto, on, off");
}

bool on_progress(float share, void* options) {
    const auto& progress = static_cast<const SliceOptions*>(options)->progress;
    return !progress || progress(share);
}

void check_model(llama_model* model, const SliceFile& file) {
    const bool is_known = file.is_encoder || file.encodes_prompt;
    const bool is_decoder = !llama_model_has_encoder(model) && llama_model_has_decoder(model);
    if (!(is_known || is_decoder) || llama_model_is_diffusion(model))
        bad_value("model: is not a causal decoder; not supported");
    if (llama_model_n_layer(model) != file.num_blocks)
        bad_value("model: libllama sees ", llama_model_n_layer(model), " layers in a file of ",
                  file.num_blocks);
    const int32_t num_tokens = llama_vocab_n_tokens(llama_model_get_vocab(model));
    if (file.vocab_size && (file.is_first() || file.is_last()) && num_tokens != file.vocab_size)
        bad_value("ggml_cluster.slice.vocab_size: is ", file.vocab_size, " but the file has ", num_tokens,
                  " tokens; cut again");
}

void check_heads(const SliceFile& file, ggml_type type_k, ggml_type type_v) {
    const auto check = [](const char* what, ggml_type type, int32_t width) {
        if (width % ggml_blck_size(type) != 0)
            bad_value(what, ": ", ggml_type_name(type), " packs ", ggml_blck_size(type),
                      " values, the model's heads are ", width, " wide; use f16");
    };
    check("type_k", type_k, file.key_width);
    check("type_v", type_v, file.value_width);
}

// Refuses only a cache that can never fit: libllama would write zeros over more memory than the machine has.
void check_cache_fits(const SliceFile& file, const Device& device, int64_t num_cells, ggml_type type_k,
                      ggml_type type_v) {
    const auto row_bytes = [&file](ggml_type type, int64_t width) {
        return double(ggml_row_size(type, width)) * file.num_kv_heads;
    };
    const double bytes = double(num_cells) * file.num_blocks *
                         (row_bytes(type_k, file.key_width) + row_bytes(type_v, file.value_width));
    if (bytes > double(device.memory_total_bytes()))
        throw OutOfMemory(text("n_ctx: the KV cache would take ", int64_t(bytes / (1 << 20)), " MiB, ",
                               device.name(), " has ", device.memory_total_bytes() >> 20,
                               " MiB; lower n_ctx or n_slots"));
}

[[noreturn]] void refuse(const char* what, const LoggedErrors& errors) {
    const std::string reason = errors.first("libllama gave no reason");
    if (reason.find("alloc") != std::string::npos) throw OutOfMemory(text(what, ": ", reason));
    failed(what, ": ", reason);
}

ContextPtr make_context(llama_model* model, const SliceFile& file, const llama_context_params& params,
                        const SliceOptions& options) {
    const LoggedErrors errors;
    const AbortGuard guard;
    ContextPtr context(llama_init_from_model(model, params));
    if (!context) refuse("context", errors);
    const bool remembers = llama_get_memory(context.get()) && !file.is_encoder;
    if (!remembers && !(file.is_whole() && (file.pools() || options.embeds)))
        bad_value("model: remembers no tokens, and is no embedding model in one piece; not supported");
    return context;
}

llama_context_params context_params(const SliceFile& file, const SliceOptions& options, Boundary* boundary) {
    llama_context_params params = llama_context_default_params();
    const int64_t n_slots = file.encodes_prompt ? 1 : options.n_slots;
    const int64_t num_cells = options.n_ctx * n_slots;
    params.n_ctx = static_cast<uint32_t>(num_cells);
    // libllama asserts that one row of each sequence fits into a batch
    params.n_batch = static_cast<uint32_t>(std::max(options.n_batch, n_slots));
    params.n_ubatch = static_cast<uint32_t>(std::min(options.n_ubatch, options.n_batch));
    params.n_seq_max = static_cast<uint32_t>(n_slots);
    params.n_threads = params.n_threads_batch = static_cast<int32_t>(options.n_threads);
    params.flash_attn_type = flash_attention(options.flash_attn);
    params.type_k = cache_type("type_k", options.type_k);
    params.type_v = cache_type("type_v", options.type_v);
    params.kv_unified = false;  // see groups.h
    params.swa_full = true;     // a windowed cache forgets what prepare_slot needs
    params.no_perf = true;
    if (file.is_encoder) {
        // The cache that nobody reads: of one step, since it is emptied before each.
        params.n_ctx = static_cast<uint32_t>(std::max(options.n_ctx, options.n_ubatch));
        params.kv_unified = true;
    }
    // Vectors of texts are made of rows, but scores by the model's own head, in the graph.
    params.pooling_type = file.ranks() ? LLAMA_POOLING_TYPE_RANK : LLAMA_POOLING_TYPE_NONE;
    params.embeddings = file.ranks() && file.is_last();
    if (!file.is_whole() || options.embeds || file.pools()) {
        params.cb_eval = Boundary::on_tensor;
        params.cb_eval_user_data = boundary;
    }
    return params;
}

// The last layer of a slice within those that add more of a picture adds it to all rows. libllama plans for a
// number of rows that all slots have an equal part of, but for no more outputs than a call has rows.
void fit_rows_to_slots(llama_context_params& params) {
    params.n_ubatch = (params.n_ubatch + params.n_seq_max - 1) / params.n_seq_max * params.n_seq_max;
    params.n_batch = std::max(params.n_batch, params.n_ubatch);
}

}  // namespace

int32_t check_threads(int64_t n_threads) { return in_range("n_threads", n_threads, 1, max_threads); }

void check_options(const SliceOptions& options) {
    in_range("n_ctx", options.n_ctx, 1, max_cells);
    in_range("n_slots", options.n_slots, 1, static_cast<int64_t>(llama_max_parallel_sequences()));
    if (options.n_ctx * options.n_slots > max_cells)
        bad_value("n_ctx: ", options.n_ctx, " tokens in ", options.n_slots, " slots are more than ",
                  max_cells);
    in_range("n_batch", options.n_batch, 1, max_rows);
    in_range("n_ubatch", options.n_ubatch, 1, max_rows);
    check_threads(options.n_threads);
    cache_type("type_k", options.type_k);
    const ggml_type type_v = cache_type("type_v", options.type_v);
    if (flash_attention(options.flash_attn) == LLAMA_FLASH_ATTN_TYPE_DISABLED && ggml_is_quantized(type_v))
        bad_value("type_v: ", options.type_v,
                  " needs flash attention; set flash_attn to auto, or type_v to f16");
}

ModelPtr load_model(const SliceFile& file, const Device& device, const SliceOptions& options) {
    std::array<ggml_backend_dev_t, 2> devices{device.is_cpu() ? nullptr : device.handle(), nullptr};
    llama_model_params params = llama_model_default_params();
    params.devices = devices.data();
    params.n_gpu_layers = device.is_cpu() ? 0 : -1;
    params.split_mode = LLAMA_SPLIT_MODE_NONE;
    params.load_mode = options.is_dry_run || !options.use_mmap ? LLAMA_LOAD_MODE_NONE
                       : device.is_cpu()                       ? LLAMA_LOAD_MODE_MMAP
                                                               : LLAMA_LOAD_MODE_AUTO;
    params.no_alloc = options.is_dry_run;
    params.use_extra_bufts = options.use_extra_bufts;
    params.progress_callback = on_progress;
    params.progress_callback_user_data = const_cast<SliceOptions*>(&options);

    const LoggedErrors errors;
    const AbortGuard guard;  // an architecture asserts more of its metadata than our checks know
    ModelPtr model(llama_model_load_from_file(file.path.c_str(), params));
    if (!model) refuse("load", errors);
    check_model(model.get(), file);
    return model;
}

std::vector<ContextPtr> make_contexts(llama_model* model, const SliceFile& file, const Device& device,
                                      const SliceOptions& options, Boundary* boundary) {
    llama_context_params params = context_params(file, options, boundary);
    const int64_t width = llama_model_n_embd(model);
    if (!file.is_last() && llama_model_n_embd_inp(model) - width >= file.num_blocks * width)
        fit_rows_to_slots(params);
    check_heads(file, params.type_k, params.type_v);
    const int64_t num_contexts = file.encodes_prompt ? options.n_slots : 1;
    const bool has_states = llama_model_is_recurrent(model) || llama_model_is_hybrid(model);
    if (!options.is_dry_run && !has_states)
        check_cache_fits(file, device, params.n_ctx * num_contexts, params.type_k, params.type_v);
    std::vector<ContextPtr> contexts;
    while (std::ssize(contexts) < num_contexts)
        contexts.push_back(make_context(model, file, params, options));
    return contexts;
}

}  // namespace native
