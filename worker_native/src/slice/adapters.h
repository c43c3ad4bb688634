// LoRA adapters: what a slice adds to the products of its own matrices.
#pragma once

#include <cstddef>
#include <vector>

#include "base/libllama.h"

namespace native {

// A GGUF in memory, which whoever loads it keeps until it is loaded, and what its sums are multiplied by.
struct AdapterFile {
    const void* data;
    size_t size_bytes;
    float scale;
};

// Those of one model, which owns them.
struct Adapters {
    std::vector<llama_adapter_lora*> loaded;
    std::vector<float> scales;
};

// Before the context is made: libllama sizes its graphs by the adapters that it knows then.
Adapters load_adapters(llama_model* model, const std::vector<AdapterFile>& files);

// The graphs of this context add them from now on, each with its scale; one whose scale is 0 is left out.
// Where that differs from what it was, libllama plans its buffers anew in the next call.
void use_adapters(llama_context* context, Adapters& adapters);

// The same with other scales, one for each. ValueError where their number is another, or one is not finite.
void scale_adapters(llama_context* context, Adapters& adapters, const std::vector<float>& scales);

}  // namespace native
