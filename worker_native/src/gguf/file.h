// A GGUF's header: opening it, and reading keys whose types are checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/libllama.h"

namespace native {

// Opens the header only. ValueError if the path is no regular file or no GGUF.
GgufPtr open_gguf(const std::string& path);

// The value of a key, nothing if it is absent. Throws if it is there with another type.
std::optional<uint32_t> find_u32(const gguf_context* file, const std::string& key);
std::optional<float> find_f32(const gguf_context* file, const std::string& key);
std::optional<std::string> find_string(const gguf_context* file, const std::string& key);
// The length of an array whose elements have the given type.
std::optional<size_t> find_array(const gguf_context* file, const char* key, gguf_type element);

}  // namespace native
