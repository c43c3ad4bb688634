// The rows of one forward call, copied from Python so that nothing can change them after the check.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "slice/slots.h"

namespace native {

struct SlotPicture {
    int32_t slot;
    Picture picture;
};

struct Microbatch {
    std::vector<int32_t> tokens;        // [T]
    std::vector<int32_t> positions;     // [T]
    std::vector<int32_t> slots;         // [T]
    std::vector<uint8_t> wants_logits;  // [T]
    const float* hidden = nullptr;      // [T, E], borrowed; null on the first slice, unless `is_pictured`
    bool embeds = false;                // the wanted rows are those behind the last norm, not logits
    bool is_pictured = false;           // libllama is given `hidden` in the place of tokens
    // Where positions have sections, all rows are those of pictures, or none: here is that of each slot.
    std::vector<SlotPicture> pictures;
    bool non_causal = false;  // each row sees all of them, also those behind it; all of one slot

    int32_t num_rows() const { return static_cast<int32_t>(tokens.size()); }
    // Null if its rows are those of tokens.
    const Picture* picture_of(int32_t slot) const {
        const auto found = std::ranges::find(pictures, slot, &SlotPicture::slot);
        return found == pictures.end() ? nullptr : &found->picture;
    }
};

// Rows [first, end) of a microbatch.
struct RowRange {
    int32_t first = 0;
    int32_t end = 0;

    int32_t num_rows() const { return end - first; }
};

// The rows of each slot, in their order.
std::vector<RowRange> rows_by_slot(const Microbatch& batch);

struct MicrobatchLimits {
    int32_t num_rows;
    int32_t vocab_size;
    int32_t n_ctx;
    bool is_encoder = false;    // reads a whole text at once, and remembers none
    bool has_sections = false;  // in its positions
};

// Throws unless tokens, slots, positions and pictures may go to libllama: rows of a slot consecutive, and
// continuing it.
void check_microbatch(const Microbatch& batch, const MicrobatchLimits& limits, const Slots& slots);

}  // namespace native
