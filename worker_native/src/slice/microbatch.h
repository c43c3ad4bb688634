// The rows of one forward call, copied from Python so that nothing can change them after the check.
#pragma once

#include <cstdint>
#include <vector>

#include "slice/slots.h"

namespace native {

struct Microbatch {
    std::vector<int32_t> tokens;        // [T]
    std::vector<int32_t> positions;     // [T]
    std::vector<int32_t> slots;         // [T]
    std::vector<uint8_t> wants_logits;  // [T]
    const float* hidden = nullptr;      // [T, E], borrowed; null on the first slice, unless `is_pictured`
    bool embeds = false;                // the wanted rows are those behind the last norm, not logits
    bool is_pictured = false;           // the first slice is given rows in the place of tokens
    bool non_causal = false;            // each row sees all of them, also those behind it; all of one slot

    int32_t num_rows() const { return static_cast<int32_t>(tokens.size()); }
};

struct MicrobatchLimits {
    int32_t num_rows;
    int32_t vocab_size;
    int32_t n_ctx;
    bool is_encoder = false;  // reads a whole text at once, and remembers none
};

// Throws unless tokens, slots and positions may go to libllama: rows of a slot consecutive, and continuing
// it.
void check_microbatch(const Microbatch& batch, const MicrobatchLimits& limits, const Slots& slots);

}  // namespace native
