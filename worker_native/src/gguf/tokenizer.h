// The tokenizer's arrays in a GGUF, before libllama sees them.
#pragma once

#include <string>

#include "base/libllama.h"

namespace native {

// Throws if they would make libllama abort. Returns the name of the tokenizer's model, "none" if absent.
std::string check_tokenizer(const gguf_context* file);

}  // namespace native
