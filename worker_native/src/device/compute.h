// The opened backend of a device: one for each device of this process.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "base/libllama.h"
#include "base/process.h"
#include "device/device.h"

namespace native {

class Compute {
  public:
    explicit Compute(const Device& device);
    const Device& device() const { return device_; }
    ggml_backend_t backend() const { return backend_.get(); }
    // Whether it was opened by a process that this one was forked from, and cannot be used here.
    bool is_elsewhere() const { return num_forks_ != num_forks() && !device_.is_cpu(); }
    void refuse_elsewhere() const;
    ggml_backend_buffer_type_t buffer_type() const { return ggml_backend_get_default_buffer_type(backend()); }
    // Held while anything computes: a backend has one work buffer and one stream.
    Lock& busy() { return busy_; }
    // No effect on devices that have no threads of ours.
    void set_threads(int num_threads);
    // As many as were set; 1 before that.
    int num_threads() const { return num_threads_; }
    // Holds for the next computation only, whatever was set. To be called only while `busy` is held.
    void use_threads(int num_threads);
    // The device asks `should_stop` between two operations, and true ends the computation; it asks nobody if
    // that
    // is null. To be called only while `busy` is held; no effect on devices that cannot be stopped.
    void set_abort(ggml_abort_callback should_stop, void* data) const {
        if (set_abort_) set_abort_(backend(), should_stop, data);
    }

  private:
    Device device_;
    BackendPtr backend_;
    ggml_backend_set_n_threads_t set_threads_ = nullptr;
    std::atomic<int> num_threads_ = 1;
    int num_used_ = 0;  // as many as ggml was told
    const uint32_t num_forks_ = num_forks();
    ggml_backend_set_abort_callback_t set_abort_ = nullptr;
    Lock busy_;
};

// While it lives, this thread is inside an observer of a running graph, or inside a signal handler that is
// called while one runs: the graph holds the locks.
class Observing {
  public:
    Observing();
    ~Observing();
    Observing(const Observing&) = delete;
    Observing& operator=(const Observing&) = delete;

  private:
    const bool was_observing_;
};

// A thread computes that would wait for itself. Python sees OccupiedError.
class Occupied : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Throws in a thread that would wait for itself.
void refuse_while_observing();

// Opened at first use and kept until the process ends; a bad name is answered with the names there are.
Compute& compute_on(const std::string& device_name);

// The CPU, which computes what other devices do not offer.
Compute& cpu_compute();

}  // namespace native
