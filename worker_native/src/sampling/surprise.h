// Draws that depend on what was drawn before: Mirostat 1 and 2, and adaptive-p.
#pragma once

#include <cstdint>
#include <vector>

#include "base/libllama.h"
#include "sampling/params.h"

namespace native {

// What such a draw leaves to the next one.
struct DrawMemory {
    float sum = 0;     // Mirostat's mu; adaptive-p's weighted sum of probabilities
    float weight = 0;  // adaptive-p's
};

// What each position of a slot was left by the draw before it. Draws may be repeated, or taken back: one at
// an earlier position begins with what it began with before.
class DrawMemories {
  public:
    explicit DrawMemories(DrawMemory first) : first_(first) {}

    // For the draw at `position`; where no draw led to it, as the newest before it left it, or as at first.
    DrawMemory at(int32_t position);
    void leave(int32_t position, DrawMemory memory);

  private:
    DrawMemory first_;
    int32_t begin_ = 0;
    std::vector<DrawMemory> by_position_;  // from begin_ on
};

// Before the first draw.
DrawMemory first_memory(const SamplerParams& params);

// The place of the drawn one among `candidates`, of which there is one at least; what it leaves is put in
// `memory`. `seed` is for std::mt19937. Candidates may be dropped and sorted.
size_t draw_mirostat(llama_token_data_array& candidates, const SamplerParams& params, int32_t vocab_size,
                     uint32_t seed, DrawMemory& memory);
size_t draw_adaptive(llama_token_data_array& candidates, const SamplerParams& params, uint32_t seed,
                     DrawMemory& memory);

}  // namespace native
