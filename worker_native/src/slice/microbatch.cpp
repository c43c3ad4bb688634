#include "slice/microbatch.h"

#include "base/check.h"

namespace native {
namespace {

void check_lengths(const Microbatch& batch, const MicrobatchLimits& limits) {
    const size_t num_rows = batch.tokens.size();
    if (batch.positions.size() != num_rows || batch.slots.size() != num_rows ||
        batch.wants_logits.size() != num_rows)
        bad_value("forward: tokens (", num_rows, "), positions (", batch.positions.size(), "), slots (",
                  batch.slots.size(), ") and wants_logits (", batch.wants_logits.size(),
                  ") must be equally long");
    if (num_rows < 1 || num_rows > size_t(limits.num_rows))
        bad_value("forward: ", num_rows, " rows; a microbatch has 1..", limits.num_rows);
}

void check_row(const Microbatch& batch, int32_t row, int32_t expected_position,
               const MicrobatchLimits& limits) {
    if (batch.tokens[row] < 0 || batch.tokens[row] >= limits.vocab_size)
        bad_value("tokens: row ", row, " has token ", batch.tokens[row], ", the vocabulary has 0..",
                  limits.vocab_size - 1);
    if (batch.positions[row] != expected_position)
        bad_value("positions: row ", row, " of slot ", batch.slots[row], " has position ",
                  batch.positions[row], ", expected ", expected_position);
    if (expected_position >= limits.n_ctx)
        bad_value("positions: row ", row, " of slot ", batch.slots[row], " has position ", expected_position,
                  ", a slot holds ", limits.n_ctx, " tokens");
}

}  // namespace

std::vector<RowRange> rows_by_slot(const Microbatch& batch) {
    std::vector<RowRange> found;
    for (int32_t row = 0; row < batch.num_rows(); ++row) {
        if (row == 0 || batch.slots[row] != batch.slots[row - 1]) found.push_back({row, row});
        found.back().end = row + 1;
    }
    return found;
}

void check_microbatch(const Microbatch& batch, const MicrobatchLimits& limits, const Slots& slots) {
    check_lengths(batch, limits);
    std::vector<uint8_t> seen(slots.num_slots(), 0);
    int32_t expected_position = 0;
    for (int32_t row = 0; row < batch.num_rows(); ++row) {
        const int32_t slot = slots.check("slots", batch.slots[row]);
        const bool continues = row > 0 && batch.slots[row - 1] == slot;
        if (!continues && seen[slot]) bad_value("slots: the rows of slot ", slot, " are not consecutive");
        if (!continues && limits.is_encoder && slots.length(slot) != 0)
            bad_value("positions: an encoder reads a whole text at once; free slot ", slot, " first");
        expected_position = continues ? expected_position + 1 : slots.length(slot);
        seen[slot] = 1;
        check_row(batch, row, expected_position, limits);
    }
}

}  // namespace native
