#include "base/process.h"

#include <pthread.h>

#include <condition_variable>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <utility>

namespace native {
namespace {

constexpr auto look_every = std::chrono::milliseconds(50);

std::atomic<uint32_t> forks = 0;
void (*when_forked)() = nullptr;
// The only thread of a forked process at first. Its OpenMP was that of the other process.
thread_local bool is_forked_thread = false;

std::mutex& renewing() {
    static auto& mutex = *new std::mutex;
    return mutex;
}

void on_fork() {
    ++forks;
    is_forked_thread = true;
    new (&renewing()) std::mutex;
    if (when_forked) when_forked();
}

// A thread that does one piece of work after the other, until the process ends.
class Worker {
  public:
    Worker() : num_forks_(num_forks()) {
        std::thread([this] { serve(); }).detach();
    }
    bool is_here() const { return num_forks_ == num_forks(); }

    void run(const std::function<void()>& work, const std::function<void()>& look) {
        std::unique_lock lock(mutex_);
        work_ = &work;
        changed_.notify_all();
        while (!changed_.wait_for(lock, look_every, [this] { return !work_; })) {
            lock.unlock();
            look();
            lock.lock();
        }
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    }

  private:
    [[noreturn]] void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return work_ != nullptr; });
            lock.unlock();
            try {
                (*work_)();
            } catch (...) {
                error_ = std::current_exception();
            }
            lock.lock();
            work_ = nullptr;
            changed_.notify_all();
        }
    }

    const uint32_t num_forks_;
    std::mutex mutex_;
    std::condition_variable changed_;
    const std::function<void()>* work_ = nullptr;
    std::exception_ptr error_;
};

}  // namespace

uint32_t num_forks() { return forks.load(std::memory_order_relaxed); }

void watch_forks(void (*in_child)()) {
    renewing();
    when_forked = in_child;
    pthread_atfork(nullptr, nullptr, &on_fork);
}

void Lock::renew() {
    const std::lock_guard lock(renewing());
    if (num_forks_ == num_forks()) return;
    new (&mutex_) std::timed_mutex;
    num_forks_ = num_forks();
}

void run_with_threads(const std::function<void()>& work, const std::function<void()>& look) {
    if (!is_forked_thread) return work();
    // Only this thread uses it. It is never destroyed: its thread runs until the process ends.
    static thread_local Worker* worker = nullptr;
    if (!worker || !worker->is_here()) worker = new Worker;
    worker->run(work, look);
}

}  // namespace native
