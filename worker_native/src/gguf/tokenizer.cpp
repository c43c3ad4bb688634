#include "gguf/tokenizer.h"

#include <string_view>
#include <unordered_set>

#include "base/check.h"
#include "gguf/file.h"

namespace native {
namespace {

void check_tokens_distinct(const gguf_context* file, size_t num_tokens) {
    const int64_t id = gguf_find_key(file, "tokenizer.ggml.tokens");
    std::unordered_set<std::string_view> seen;
    seen.reserve(num_tokens);
    for (size_t i = 0; i < num_tokens; ++i) {
        const std::string_view token = gguf_get_arr_str(file, id, i);
        // libllama renames empty tokens, each to a name of its own
        if (!token.empty() && !seen.insert(token).second)
            bad_value("tokenizer.ggml.tokens: token ", i, " occurs twice");
    }
}

}  // namespace

std::string check_tokenizer(const gguf_context* file) {
    const std::string model = find_string(file, "tokenizer.ggml.model").value_or("none");
    find_array(file, "tokenizer.ggml.merges", GGUF_TYPE_STRING);
    const auto num_tokens = find_array(file, "tokenizer.ggml.tokens", GGUF_TYPE_STRING);
    if (num_tokens) check_tokens_distinct(file, *num_tokens);
    const auto num_types = find_array(file, "tokenizer.ggml.token_type", GGUF_TYPE_INT32);
    if (num_types && *num_types != num_tokens.value_or(0))
        bad_value("tokenizer.ggml.token_type: has ", *num_types, " entries for ", num_tokens.value_or(0),
                  " tokens");
    return model;
}

}  // namespace native
