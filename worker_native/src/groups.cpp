#include "groups.h"

#include <algorithm>

namespace native {
namespace {

// A call with more filler than this between two rows would compute more than it saves.
constexpr int32_t kMaxGap = 3;

// The rows of one slot.
struct Run {
    int32_t slot;
    int32_t first;
    int32_t num_rows;
};

std::vector<Run> runs_of(const Microbatch& batch) {
    std::vector<Run> runs;
    for (int32_t row = 0; row < batch.num_rows(); ++row) {
        if (runs.empty() || runs.back().slot != batch.slots[row]) runs.push_back({batch.slots[row], row, 0});
        ++runs.back().num_rows;
    }
    return runs;
}

bool is_idle(int32_t slot, const Slots& slots, const std::vector<Run>& runs) {
    return slots.length(slot) == 0 &&
           std::none_of(runs.begin(), runs.end(), [slot](const Run& run) { return run.slot == slot; });
}

// How many filler rows let `next` join a group that ends with `last`; negative if it cannot.
int32_t gap_between(const Run& last, const Run& next, const Slots& slots, const std::vector<Run>& runs) {
    const int32_t gap = next.slot - last.slot - 1;
    if (gap < 0 || next.num_rows != last.num_rows) return -1;
    if (gap > 0 && (gap > kMaxGap || next.num_rows != 1)) return -1;
    for (int32_t slot = last.slot + 1; slot < next.slot; ++slot)
        if (!is_idle(slot, slots, runs)) return -1;
    return gap;
}

void append(Group& group, const Run& run) {
    for (int32_t row = run.first; row < run.first + run.num_rows; ++row) {
        group.source.push_back(row);
        group.slots.push_back(run.slot);
    }
    group.num_rows += run.num_rows;
}

}  // namespace

std::vector<Group> group_rows(const Microbatch& batch, const Slots& slots, int32_t n_ubatch) {
    const std::vector<Run> runs = runs_of(batch);
    std::vector<Group> groups;
    const Run* last = nullptr;
    for (const Run& run : runs) {
        const int32_t gap = last ? gap_between(*last, run, slots, runs) : -1;
        const bool joins = gap >= 0 && std::ssize(groups.back().source) + gap + run.num_rows <= n_ubatch;
        if (!joins) groups.push_back({run.first, 0, {}, {}});
        for (int32_t slot = run.slot - (joins ? gap : 0); slot < run.slot; ++slot) {
            groups.back().source.push_back(kFiller);
            groups.back().slots.push_back(slot);
        }
        append(groups.back(), run);
        last = &run;
    }
    return groups;
}

}  // namespace native
