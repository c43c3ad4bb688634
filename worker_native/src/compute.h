// The opened backend of a device: one for each device of this process.
#pragma once

#include <mutex>
#include <string>

#include "device.h"
#include "libllama.h"

namespace native {

class Compute {
  public:
    explicit Compute(const Device& device);
    const Device& device() const { return device_; }
    ggml_backend_t backend() const { return backend_.get(); }
    ggml_backend_buffer_type_t buffer_type() const { return ggml_backend_get_default_buffer_type(backend()); }
    // Held while anything computes: a backend has one work buffer and one stream.
    std::mutex& busy() { return busy_; }
    // No effect on devices that have no threads of ours.
    void set_threads(int num_threads);

  private:
    Device device_;
    BackendPtr backend_;
    std::mutex busy_;
};

// Opened at first use and kept until the process ends; a bad name is answered with the names there are.
Compute& compute_on(const std::string& device_name);

// The CPU, which computes what other devices do not offer.
Compute& cpu_compute();

}  // namespace native
