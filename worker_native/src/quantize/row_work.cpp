#include "quantize/row_work.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "base/abort_guard.h"

namespace native {
namespace {

constexpr auto look_every = std::chrono::milliseconds(20);

class RowPool {
  public:
    RowPool(int64_t num_rows, int64_t rows_per_chunk, const RowWork& work)
        : num_rows_(num_rows), rows_per_chunk_(rows_per_chunk), work_(work) {}

    int64_t num_chunks() const { return (num_rows_ + rows_per_chunk_ - 1) / rows_per_chunk_; }

    // Takes chunks until there are none, in the calling thread.
    void take_chunks() {
        try {
            const AbortGuard guard;
            while (!is_stopped_) {
                const int64_t begin = next_.fetch_add(rows_per_chunk_);
                if (begin >= num_rows_) break;
                const int64_t end = std::min(num_rows_, begin + rows_per_chunk_);
                work_(begin, end);
                num_done_ += end - begin;
            }
        } catch (...) {
            const std::lock_guard lock(mutex_);
            if (!error_) error_ = std::current_exception();
            is_stopped_ = true;
        }
    }

    bool run(int64_t num_threads, const RowsDone& done) {
        std::vector<std::thread> threads;
        for (int64_t i = 0; i < num_threads; ++i) start(threads);
        if (threads.empty()) take_chunks();
        const bool is_whole = watch(done);
        for (std::thread& thread : threads) thread.join();
        if (error_) std::rethrow_exception(error_);
        return is_whole;
    }

  private:
    void start(std::vector<std::thread>& threads) {
        {
            const std::lock_guard lock(mutex_);
            ++num_running_;
        }
        try {
            threads.emplace_back([this] {
                take_chunks();
                const std::lock_guard lock(mutex_);
                --num_running_;
                ended_.notify_one();
            });
        } catch (const std::system_error&) {  // the system has no more threads: the others do the work
            const std::lock_guard lock(mutex_);
            --num_running_;
        }
    }

    bool watch(const RowsDone& done) {
        bool is_whole = true;
        std::unique_lock lock(mutex_);
        while (!ended_.wait_for(lock, look_every, [this] { return num_running_ == 0; })) {
            lock.unlock();
            if (is_whole && !done(num_done_)) {
                is_whole = false;
                is_stopped_ = true;
            }
            lock.lock();
        }
        return is_whole;
    }

    const int64_t num_rows_, rows_per_chunk_;
    const RowWork& work_;
    std::atomic<int64_t> next_ = 0, num_done_ = 0;
    std::atomic<bool> is_stopped_ = false;
    std::mutex mutex_;
    std::condition_variable ended_;
    int64_t num_running_ = 0;
    std::exception_ptr error_;
};

}  // namespace

bool work_on_rows(int64_t num_rows, int64_t rows_per_chunk, int num_threads, const RowWork& work,
                  const RowsDone& done) {
    RowPool pool(num_rows, rows_per_chunk, work);
    const bool is_small = pool.num_chunks() <= 1;
    return pool.run(is_small ? 0 : std::min<int64_t>(num_threads, pool.num_chunks()), done) && done(num_rows);
}

}  // namespace native
