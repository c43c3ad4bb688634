// A slice's slots: started, truncated, copied, and mended where a sequence left values that are not finite.
#include <algorithm>

#include "base/check.h"
#include "base/finite.h"
#include "slice/slice.h"

namespace native {

void Slice::forget(int32_t slot, int32_t position) {
    llama_memory_seq_rm(llama_get_memory(context_of(slot)), sequence_of(slot), position, -1);
}

void Slice::restore(const Microbatch& batch) {
    for (const Group& group : group_rows(batch, slots_, limits()))
        for (const int32_t slot : group.slots) {
            // Of a picture that it had begun already, libllama can forget all rows or none.
            const bool was_begun = batch.picture_of(slot) && slots_.unfinished(slot);
            if (!can_truncate_ || was_begun) slots_.set_length(slot, 0);
            forget(slot, slots_.next_position(slot));
        }
}

void Slice::prepare_slot(int64_t slot, int64_t source, int64_t length) {
    const int32_t to = slots_.check("slot", slot), from = slots_.check("source", source);
    const int32_t end = in_range("length", length, 0, slots_.length(from));
    const bool is_copy = from != to;
    if (!can_truncate_ && end != 0 && end != slots_.length(from))
        bad_value("length: slot ", from, " keeps a running state of its ", slots_.length(from),
                  " tokens, which cannot go back to ", end, "; only to 0");
    if (is_copy && end != 0 && own_contexts())
        bad_value("source: what an encoder made of the text in slot ", from, " stays there; start slot ", to,
                  " anew");
    if (slots_.is_within_picture(from, end))
        bad_value("length: row ", end, " of slot ", from,
                  " is within a picture; cut in front of it, or behind");
    truncate(to, is_copy ? 0 : end);
    if (end == 0) mend(to);
    if (!is_copy || end == 0) return;
    // Between two slots libllama copies all or nothing; it does so at the beginning of the next forward.
    llama_memory_seq_cp(llama_get_memory(context_of(to)), from, to, -1, -1);
    if (end != slots_.length(from)) forget(to, slots_.position(from, end));
    slots_.copy(from, to, end);
    damaged_[to] = damaged_[from];  // the whole of it was copied, also what is behind `end`
}

void Slice::truncate(int32_t slot, int32_t length) {
    if (length == slots_.length(slot)) return;
    const int32_t position = slots_.position(slot, length);
    if (!llama_memory_seq_rm(llama_get_memory(context_of(slot)), sequence_of(slot), position, -1))
        failed("prepare_slot: libllama cannot remove part of slot ", slot);
    slots_.set_length(slot, length);
}

void Slice::note_damage(const Microbatch& batch, const Group& group, const float* hidden_out) {
    const RowWidths widths = row_widths(batch.is_pictured);
    for (int32_t row = group.first; row < group.first + group.num_rows; ++row) {
        const int32_t slot = batch.slots[row];
        const auto is_sound = [&](const float* rows, int64_t width) {
            return !rows || all_finite({rows + row * width, size_t(width)});
        };
        if (!is_sound(batch.hidden, widths.in) || !is_sound(hidden_out, widths.out)) damaged_[slot] = 1;
    }
}

// Attention multiplies also what it masks, unless it is flash attention: a NaN that a sequence left in the
// cache would be in every later one of that slot. A copy between two slots writes over all of the second.
void Slice::mend(int32_t slot) {
    if (!damaged_[slot]) return;
    llama_memory_t memory = llama_get_memory(context_of(slot));
    if (own_contexts()) {
        llama_memory_clear(memory, true);
        damaged_[slot] = 0;
        return;
    }
    int32_t sound = 0;
    while (sound < n_slots() && damaged_[sound]) ++sound;
    bool are_empty = true;
    for (int32_t other = 0; other < n_slots(); ++other) are_empty = are_empty && slots_.length(other) == 0;
    if (are_empty) {
        llama_memory_clear(memory, true);
        std::fill(damaged_.begin(), damaged_.end(), uint8_t{0});
    } else if (can_truncate_ && sound < n_slots()) {
        llama_memory_seq_cp(memory, sound, slot, -1, -1);
        forget(slot, 0);
        damaged_[slot] = 0;
    }
}

}  // namespace native
