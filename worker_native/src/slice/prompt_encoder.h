// Prompts of models with an encoder and a decoder: the encoder's tokens, the decoder's start token, and what
// the decoder has said already.
#pragma once

#include "base/libllama.h"
#include "slice/microbatch.h"

namespace native {

// The decoder's first token, which parts a prompt.
int32_t decoder_start(const llama_model* model);

// For each of the first slots one row of the encoder and one of the decoder, for a measurement.
Microbatch shortest_prompts(int32_t start_token, int32_t num_slots);

}  // namespace native
