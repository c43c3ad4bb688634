#include "gguf/file.h"

#include <filesystem>

#include "base/check.h"
#include "base/log.h"

namespace native {

GgufPtr open_gguf(const std::string& path) {
    if (path.find('\0') != std::string::npos) bad_value("path: contains a null character");
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) bad_value("path: '", path, "' does not exist");
    if (!std::filesystem::is_regular_file(status)) bad_value("path: '", path, "' is not a regular file");
    const LoggedErrors errors;
    GgufPtr file(gguf_init_from_file(path.c_str(), {/*no_alloc=*/true, /*ctx=*/nullptr}));
    if (!file) bad_value("path: '", path, "' is not a readable GGUF: ", errors.first("ggml gave no reason"));
    return file;
}

std::optional<uint32_t> find_u32(const gguf_context* file, const std::string& key) {
    const int64_t id = gguf_find_key(file, key.c_str());
    if (id < 0) return std::nullopt;
    if (gguf_get_kv_type(file, id) != GGUF_TYPE_UINT32)
        bad_value(key, ": is a ", gguf_type_name(gguf_get_kv_type(file, id)), ", expected a uint32");
    return gguf_get_val_u32(file, id);
}

std::optional<float> find_f32(const gguf_context* file, const std::string& key) {
    const int64_t id = gguf_find_key(file, key.c_str());
    if (id < 0) return std::nullopt;
    if (gguf_get_kv_type(file, id) != GGUF_TYPE_FLOAT32)
        bad_value(key, ": is a ", gguf_type_name(gguf_get_kv_type(file, id)), ", expected a float32");
    return gguf_get_val_f32(file, id);
}

std::optional<std::string> find_string(const gguf_context* file, const std::string& key) {
    const int64_t id = gguf_find_key(file, key.c_str());
    if (id < 0) return std::nullopt;
    if (gguf_get_kv_type(file, id) != GGUF_TYPE_STRING)
        bad_value(key, ": is a ", gguf_type_name(gguf_get_kv_type(file, id)), ", expected a string");
    return gguf_get_val_str(file, id);
}

std::optional<size_t> find_array(const gguf_context* file, const char* key, gguf_type element) {
    const int64_t id = gguf_find_key(file, key);
    if (id < 0) return std::nullopt;
    if (gguf_get_kv_type(file, id) != GGUF_TYPE_ARRAY || gguf_get_arr_type(file, id) != element)
        bad_value(key, ": is not an array of ", gguf_type_name(element));
    return gguf_get_arr_n(file, id);
}

}  // namespace native
