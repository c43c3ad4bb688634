// The tokenizer of a GGUF.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/libllama.h"

namespace native {

class Vocab {
  public:
    explicit Vocab(const std::string& path);

    int32_t num_tokens() const { return num_tokens_; }
    std::optional<int32_t> bos() const;
    std::optional<int32_t> eos() const;
    const std::vector<int32_t>& end_tokens() const { return end_tokens_; }
    const std::vector<int32_t>& special_tokens() const { return special_tokens_; }  // control, unknown
    // Most bytes of a text that one token stands for.
    int64_t longest_token_bytes() const;
    // `text` is UTF-8. libllama's pre-tokenizer may recurse once for each of its characters: a longer text
    // gets a stack of its own, as large as that can take, but of `max_stack_bytes` at most. Where that is not
    // enough, the process ends with SIGSEGV.
    std::vector<int32_t> tokenize(std::string_view text, bool add_special, bool parse_special,
                                  int64_t max_stack_bytes) const;
    std::string token_bytes(int64_t token, bool render_special) const;

  private:
    std::vector<int32_t> run(std::string_view text, bool add_special, bool parse_special) const;

    ModelPtr model_;
    const llama_vocab* vocab_;
    int32_t num_tokens_;
    // Found once: end_tokens is asked for with every token of every stream.
    std::vector<int32_t> end_tokens_, special_tokens_;
    std::string pattern_;  // tokenizer.ggml.pre
};

}  // namespace native
