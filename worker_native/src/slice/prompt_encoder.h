// Prompts of models with an encoder and a decoder: the encoder's tokens, the decoder's start token, and what
// the decoder has said already.
#pragma once

#include "base/libllama.h"
#include "slice/microbatch.h"

namespace native {

// The decoder's first token, which parts a prompt.
int32_t decoder_start(const llama_model* model);

// One row of the encoder and one of the decoder, for a measurement.
Microbatch shortest_prompt(int32_t start_token);

}  // namespace native
