// Owning pointers to libllama and ggml objects, and one declaration that libllama exports but does not
// install.
#pragma once

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <gguf.h>
#include <llama.h>

#include <cstddef>
#include <map>
#include <memory>

// From libllama's staging header llama-ext.h. The layout is that of the pinned release; the build pins it.
struct llama_memory_breakdown_data {
    size_t model = 0;
    size_t context = 0;
    size_t compute = 0;
};
using llama_memory_breakdown = std::map<ggml_backend_buffer_type_t, llama_memory_breakdown_data>;
LLAMA_API llama_memory_breakdown llama_get_memory_breakdown(const struct llama_context* ctx);

namespace native {

template <auto release>
struct Releaser {
    template <class T>
    void operator()(T* object) const {
        release(object);
    }
};

using ModelPtr = std::unique_ptr<llama_model, Releaser<llama_model_free>>;
using ContextPtr = std::unique_ptr<llama_context, Releaser<llama_free>>;
using SamplerPtr = std::unique_ptr<llama_sampler, Releaser<llama_sampler_free>>;
using GgufPtr = std::unique_ptr<gguf_context, Releaser<gguf_free>>;
using GgmlPtr = std::unique_ptr<ggml_context, Releaser<ggml_free>>;
using BufferPtr = std::unique_ptr<ggml_backend_buffer, Releaser<ggml_backend_buffer_free>>;
using BackendPtr = std::unique_ptr<ggml_backend, Releaser<ggml_backend_free>>;
using GraphAllocatorPtr = std::unique_ptr<ggml_gallocr, Releaser<ggml_gallocr_free>>;

}  // namespace native
