// The turn of one run: the locks of everything that its graph computes on.
#pragma once

#include <functional>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "base/process.h"
#include "device/compute.h"

namespace native {

// `Graph::cancel` was called, or the `look` of the run said that it should end. Python sees InterruptedError.
class Cancelled : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// A run asks it every now and then, while it waits for its turn and computes, in the thread that called it.
// True ends the run: between two operations on the CPU, and at the next part on other devices.
using Look = std::function<bool()>;

// Waits for the lock, and asks `look` meanwhile if there is one. Throws Cancelled if that says so.
std::unique_lock<Lock> taken(Lock& lock, const Look* look);

// Holds the locks of all of `computes`, always taken in one order.
class Turn {
  public:
    explicit Turn(std::vector<Compute*> computes, const Look* look = nullptr);

  private:
    std::vector<std::unique_lock<Lock>> locks_;
};

}  // namespace native
