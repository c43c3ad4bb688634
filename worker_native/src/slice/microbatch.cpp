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

void check_picture(const SlotPicture& given, const MicrobatchLimits& limits) {
    const Picture& picture = given.picture;
    const int64_t num_rows = int64_t(picture.width) * picture.height;
    if (picture.first < 0 || picture.width < 1 || picture.height < 1 ||
        picture.first + num_rows > limits.n_ctx)
        bad_value("pictures: ", picture.width, " x ", picture.height, " rows from ", picture.first,
                  " on in slot ", given.slot, ", which holds ", limits.n_ctx);
}

// A picture begins behind what its slot has, or goes on with what that has begun; nothing else comes between.
void check_goes_on(const Microbatch& batch, const Slots& slots, int32_t slot) {
    const Picture* picture = batch.picture_of(slot);
    const Picture* begun = slots.unfinished(slot);
    if (begun ? picture && *picture == *begun : !picture || picture->first == slots.length(slot)) return;
    if (!begun)
        bad_value("pictures: one begins at row ", picture->first, " of slot ", slot, ", which has ",
                  slots.length(slot));
    bad_value("pictures: slot ", slot, " has ", slots.length(slot) - begun->first, " rows of one of ",
              begun->width, " x ", begun->height, "; give the others first");
}

void check_pictures(const Microbatch& batch, const MicrobatchLimits& limits, const Slots& slots) {
    if (!batch.pictures.empty() && !limits.has_sections)
        bad_value("pictures: the positions of this model have no sections; leave them out");
    std::vector<uint8_t> seen(slots.num_slots(), 0);
    for (const SlotPicture& given : batch.pictures) {
        if (seen[slots.check("pictures", given.slot)]) bad_value("pictures: two of slot ", given.slot);
        seen[given.slot] = 1;
        check_picture(given, limits);
    }
    for (int32_t row = 0; row < batch.num_rows(); ++row) {
        const int32_t slot = batch.slots[row];
        const Picture* picture = batch.picture_of(slot);
        if (!picture && !batch.pictures.empty())
            bad_value("pictures: none of slot ", slot, ", which has rows");
        if (row == 0 || batch.slots[row - 1] != slot) check_goes_on(batch, slots, slot);
        if (picture && batch.positions[row] >= picture->end())
            bad_value("pictures: row ", row, " is behind the end of that of slot ", slot);
    }
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
    check_pictures(batch, limits, slots);
}

}  // namespace native
