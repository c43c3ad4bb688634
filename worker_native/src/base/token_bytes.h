// What a token adds to a text.
#pragma once

#include <llama.h>

#include <cstdint>
#include <string>

namespace native {

// Its bytes: none for a special token unless `render_special`. `token` is one of the vocabulary.
std::string token_bytes(const llama_vocab* vocab, int32_t token, bool render_special);

}  // namespace native
