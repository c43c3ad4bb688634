// Guards for a forked process, which must not take over from the process that it was forked from: locks whose
// holder is not here, threads of OpenMP, devices other than the CPU.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stdexcept>

namespace native {

// How many forks lie between this process and the one that loaded the library.
uint32_t num_forks();

// Arrange for the above, and for `in_child` to run in each forked process; called once, at import.
void watch_forks(void (*in_child)());

// Something that belongs to the process that this one was forked from is used. Python sees ForkedError.
class Forked : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// A mutex that is free in a forked process: whoever held it there does not exist here.
class Lock {
  public:
    void lock() { here().lock(); }
    bool try_lock() { return here().try_lock(); }
    bool try_lock_for(std::chrono::milliseconds time) { return here().try_lock_for(time); }
    void unlock() { mutex_.unlock(); }

  private:
    std::timed_mutex& here() {
        if (num_forks_ != num_forks()) renew();
        return mutex_;
    }
    void renew();

    std::timed_mutex mutex_;
    std::atomic<uint32_t> num_forks_ = num_forks();
};

// Runs work that may use OpenMP. In the thread that a process was forked with, OpenMP waits for ever for
// threads that are not here, so there another thread does the work. `look` is called meanwhile, every few
// milliseconds.
void run_with_threads(const std::function<void()>& work, const std::function<void()>& look);

}  // namespace native
