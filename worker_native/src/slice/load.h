// From a file and options to a libllama model and context, everything checked on the way.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/libllama.h"
#include "device/device.h"
#include "slice/adapters.h"
#include "slice/boundary.h"
#include "slice/slice_file.h"

namespace native {

struct SliceOptions {
    std::string path;
    std::string device = "CPU";
    int64_t n_ctx = 0;
    int64_t n_slots = 0;
    int64_t n_batch = 512;
    int64_t n_ubatch = 512;
    int64_t n_threads = 1;
    std::string type_k = "f16";
    std::string type_v = "f16";
    std::string flash_attn = "auto";
    bool use_extra_bufts = true;
    bool use_mmap = true;                 // false: a copy of its own, which a change of the file cannot reach
    bool embeds = false;                  // microbatches may embed, also where the file says nothing of it
    std::vector<AdapterFile> adapters;    // each with tensors of this file only
    std::function<bool(float)> progress;  // gets 0..1; false cancels
    bool is_dry_run = false;              // plan all buffers and allocate none; reads no weights
};

// Limits that need no file. n_threads is also checked when it is changed later.
void check_options(const SliceOptions& options);
int32_t check_threads(int64_t n_threads);

ModelPtr load_model(const SliceFile& file, const Device& device, const SliceOptions& options);

// One for all slots; of a model with an encoder and a decoder one for each, because libllama keeps what the
// encoder made in the context (llama_cross in llama-graph.h). `boundary` must outlive them.
std::vector<ContextPtr> make_contexts(llama_model* model, const SliceFile& file, const Device& device,
                                      const SliceOptions& options, Boundary* boundary);

}  // namespace native
