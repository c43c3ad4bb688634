#include "slice/groups.h"

#include <algorithm>

namespace native {
namespace {

// The rows of one slot.
struct Run {
    int32_t slot;
    int32_t first;
    int32_t num_rows;
    int32_t end;  // the slot's length afterwards
};

std::vector<Run> runs_of(const Microbatch& batch) {
    std::vector<Run> runs;
    for (int32_t row = 0; row < batch.num_rows(); ++row) {
        if (runs.empty() || runs.back().slot != batch.slots[row])
            runs.push_back({batch.slots[row], row, 0, 0});
        ++runs.back().num_rows;
        runs.back().end = batch.positions[row] + 1;
    }
    return runs;
}

class Grouping {
  public:
    Grouping(const Microbatch& batch, const Slots& slots, const GroupLimits& limits)
        : batch_(batch), slots_(slots), limits_(limits), is_used_(slots.num_slots(), 0) {
        for (const int32_t slot : batch.slots) is_used_[slot] = 1;
    }

    std::vector<Group> groups() {
        for (const Run& run : runs_of(batch_)) {
            if (!joins(run)) {
                groups_.push_back({run.first, 0, {}, {}});
                attended_ = run.end;
            }
            append(run);
        }
        for (Group& group : groups_) pad(group);
        return std::move(groups_);
    }

  private:
    bool may_fill(int32_t slot, int32_t attended) const {
        const auto steps = [](int32_t length) { return (length + kAttentionStep - 1) / kAttentionStep; };
        const int32_t length = slots_.length(slot);
        if (length > 0 && !limits_.can_truncate) return false;
        return !is_used_[slot] && length < limits_.n_ctx && steps(length + 1) <= steps(attended);
    }

    bool joins(const Run& next) const {
        if (groups_.empty()) return false;
        const Group& group = groups_.back();
        const int32_t gap = next.slot - group.slots.back() - 1;
        if (gap < 0 || next.num_rows != num_rows_per_slot_) return false;
        if (gap > 0 && (gap > kMaxGap || next.num_rows != 1)) return false;
        if (std::ssize(group.source) + gap + next.num_rows > limits_.n_ubatch) return false;
        for (int32_t slot = next.slot - gap; slot < next.slot; ++slot)
            if (!may_fill(slot, std::max(attended_, next.end))) return false;
        return true;
    }

    void append(const Run& run) {
        Group& group = groups_.back();
        while (!group.slots.empty() && group.slots.back() + 1 < run.slot) {
            group.slots.push_back(group.slots.back() + 1);
            group.source.push_back(kFiller);
        }
        for (int32_t row = run.first; row < run.first + run.num_rows; ++row) {
            group.source.push_back(row);
            group.slots.push_back(run.slot);
        }
        group.num_rows += run.num_rows;
        num_rows_per_slot_ = run.num_rows;
        attended_ = std::max(attended_, run.end);
    }

    void pad(Group& group) const {
        const auto num_rows = static_cast<int32_t>(group.slots.size());
        const int32_t first = group.slots.front(), end = group.slots.back() + 1;
        const bool has_size = end - first == num_rows && num_rows <= std::ssize(limits_.row_sizes);
        const int32_t size = has_size ? limits_.row_sizes[num_rows - 1] : num_rows;
        if (size == num_rows || size > limits_.n_ubatch) return;
        const int32_t start = padded_start(group, size);
        if (start < 0) return;
        std::vector<int32_t> source(size, kFiller);
        std::copy(group.source.begin(), group.source.end(), source.begin() + (first - start));
        group.source = std::move(source);
        group.slots.resize(size);
        for (int32_t row = 0; row < size; ++row) group.slots[row] = start + row;
    }

    // The first of `size` slots around the group that may be filled; a multiple of `size` where there is one,
    // as libllama keeps its graph for as long as the slots stay the same. Negative if there are none.
    int32_t padded_start(const Group& group, int32_t size) const {
        const int32_t first = group.slots.front(), end = group.slots.back() + 1;
        int32_t attended = 0, found = -1;
        for (const int32_t row : group.source)
            if (row != kFiller) attended = std::max(attended, batch_.positions[row] + 1);
        for (int32_t start = std::max(0, end - size); start <= first && size <= slots_.num_slots() - start;
             ++start) {
            bool is_free = true;
            for (int32_t slot = start; slot < start + size && is_free; ++slot)
                is_free = (slot >= first && slot < end) || may_fill(slot, attended);
            if (is_free && (found < 0 || start % size == 0)) found = start;
        }
        return found;
    }

    const Microbatch& batch_;
    const Slots& slots_;
    const GroupLimits& limits_;
    std::vector<uint8_t> is_used_;  // for each slot, whether the microbatch has rows of it
    std::vector<Group> groups_;
    int32_t num_rows_per_slot_ = 0;  // in the last group
    int32_t attended_ = 0;           // by the last group
};

}  // namespace

std::vector<Group> group_rows(const Microbatch& batch, const Slots& slots, const GroupLimits& limits) {
    return Grouping(batch, slots, limits).groups();
}

}  // namespace native
