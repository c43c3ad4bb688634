// The tokenizer of a GGUF.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libllama.h"

namespace native {

class Vocab {
  public:
    explicit Vocab(const std::string& path);

    int32_t num_tokens() const { return num_tokens_; }
    std::optional<int32_t> bos() const;
    std::optional<int32_t> eos() const;
    std::vector<int32_t> end_tokens() const;
    std::vector<int32_t> special_tokens() const;  // control and unknown tokens
    // `text` is UTF-8.
    std::vector<int32_t> tokenize(std::string_view text, bool add_special, bool parse_special) const;
    std::string token_bytes(int64_t token, bool render_special) const;

  private:
    ModelPtr model_;
    const llama_vocab* vocab_;
    int32_t num_tokens_;
};

}  // namespace native
