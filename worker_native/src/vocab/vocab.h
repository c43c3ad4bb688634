// The tokenizer of a GGUF.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/libllama.h"
#include "vocab/special_names.h"

namespace native {

// A part of a text, in UTF-8. With `parse_special`, the names of control tokens in it become these tokens.
struct Piece {
    std::string_view text;
    bool parse_special;
};

class Vocab {
  public:
    explicit Vocab(const std::string& path);

    int32_t num_tokens() const { return num_tokens_; }
    int32_t type() const { return llama_vocab_type(vocab_); }  // libllama's number
    bool adds_bos() const { return llama_vocab_get_add_bos(vocab_); }
    std::optional<int32_t> bos() const;
    std::optional<int32_t> eos() const;
    const std::vector<int32_t>& end_tokens() const { return end_tokens_; }
    const std::vector<int32_t>& special_tokens() const { return special_tokens_; }  // control, unknown
    // Most bytes of a text that one token stands for.
    int64_t longest_token_bytes() const;
    // What the token is for: the number that a GGUF has for that, from libllama's attributes.
    int32_t token_kind(int64_t token) const;
    // The pieces one after the other: no token reaches over a seam, and where a text goes on behind one no
    // space is put before it. libllama's pre-tokenizer may recurse once for each character: longer pieces get
    // a stack of their own, as large as that can take, but of `max_stack_bytes` at most. Where that is not
    // enough, the process ends with SIGSEGV.
    std::vector<int32_t> tokenize(const std::vector<Piece>& pieces, bool add_special,
                                  int64_t max_stack_bytes) const;
    std::string token_bytes(int64_t token, bool render_special) const;

  private:
    std::vector<int32_t> run(const std::vector<Piece>& pieces, bool add_special) const;
    std::vector<int32_t> run_seamless(const std::vector<Piece>& pieces) const;

    ModelPtr model_;
    const llama_vocab* vocab_;
    // The same vocabulary for texts that go on, where `vocab_` puts a space before each; else nothing.
    ModelPtr unspaced_model_;
    const llama_vocab* unspaced_ = nullptr;
    SpecialNames special_names_;  // where `unspaced_` is there
    int32_t num_tokens_;
    // Found once: end_tokens is asked for with every token of every stream.
    std::vector<int32_t> end_tokens_, special_tokens_;
    std::string pattern_;  // tokenizer.ggml.pre
};

}  // namespace native
