#include "graph/turn.h"

#include <algorithm>
#include <chrono>

namespace native {
namespace {

// How long a run waits for its turn before it looks whether it should go on.
constexpr auto look_every = std::chrono::milliseconds(100);

}  // namespace

std::unique_lock<Lock> taken(Lock& lock, const Look* look) {
    if (!look) return std::unique_lock(lock);
    while (!lock.try_lock_for(look_every))
        if ((*look)()) throw Cancelled("graph: the run was cancelled");
    return {lock, std::adopt_lock};
}

Turn::Turn(std::vector<Compute*> computes, const Look* look) {
    refuse_while_observing();
    for (const Compute* compute : computes) compute->refuse_elsewhere();
    std::sort(computes.begin(), computes.end());
    for (Compute* compute : computes) locks_.push_back(taken(compute->busy(), look));
}

}  // namespace native
