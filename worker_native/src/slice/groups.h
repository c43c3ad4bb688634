// How a microbatch is cut into calls of llama_decode.
//
// Each slot has a part of the KV cache for itself, so that a row's result does not depend on which other
// slots are in use. libllama then computes slots together only if their numbers follow one another and each
// has as many rows; of any other mixture it would make ubatches in an order of its own.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "slice/microbatch.h"
#include "slice/slots.h"

namespace native {

// Rows [first, first + num_rows) of the microbatch and, in slots that it skips, rows that nobody reads.
struct Group {
    int32_t first = 0;
    int32_t num_rows = 0;
    std::vector<int32_t> source;  // for each row of the call: a row of the microbatch, or kFiller
    std::vector<int32_t> slots;   // for each row of the call
};

inline constexpr int32_t kFiller = -1;

// A call with more filler than this between two rows would compute more than it saves.
inline constexpr int32_t kMaxGap = 3;
// libllama attends to the cache in steps of this many tokens.
inline constexpr int32_t kAttentionStep = 256;

struct GroupLimits {
    int32_t n_ubatch;
    int32_t n_ctx;
    std::span<const int32_t> row_sizes;  // [n - 1]: how many rows a call of n single rows is to compute
    bool can_truncate = true;            // else a row that nobody reads may only go into an empty slot
};

// Groups in the order of the rows, each of at most `n_ubatch` rows unless it is of a single slot.
//
// A slot between two single rows is filled with a row behind its last token: that costs one row more, a
// further call would read all weights once more. Single rows are filled up to `row_sizes` with slots before
// and behind them, or not at all. A slot of the microbatch is never filled, nor a full one, nor one so long
// that the group would attend to more of the cache.
std::vector<Group> group_rows(const Microbatch& batch, const Slots& slots, const GroupLimits& limits);

}  // namespace native
