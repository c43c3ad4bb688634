// Memory on a device that a tensor lies in.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "compute.h"
#include "libllama.h"

namespace native {

// Owns its memory, or borrows it from an owner that it keeps alive. The last reference frees it.
class Buffer {
  public:
    // Uninitialised memory; throws OutOfMemory. Thread-safe.
    Buffer(Compute& compute, size_t num_bytes);
    // Memory of `owner`, at any alignment, on the CPU or on the device that it lies on.
    Buffer(Compute& compute, void* data, size_t num_bytes, std::shared_ptr<void> owner);

    void* data() const { return data_; }
    size_t num_bytes() const { return num_bytes_; }
    bool is_host() const { return ggml_backend_buffer_is_host(handle_.get()); }
    ggml_backend_buffer_t handle() const { return handle_.get(); }
    Compute& compute() const { return *compute_; }
    const std::string device_name() const { return compute_->device().name(); }

    // Ranges in bytes, checked. They wait for the device.
    void write(const void* source, size_t offset, size_t num_bytes);
    void read(void* target, size_t offset, size_t num_bytes) const;
    // Copies all of `source`, which may lie on another device; the sizes must be equal.
    void copy_from(const Buffer& source);

    // Puts a tensor of a graph here; it must not be larger than the buffer.
    void place(ggml_tensor* tensor) const {
        tensor->buffer = handle_.get();
        tensor->data = data_;
    }

  private:
    void check_range(size_t offset, size_t num_bytes) const;

    Compute* compute_;
    std::shared_ptr<void> owner_;
    BufferPtr handle_;
    void* data_;
    size_t num_bytes_;
};

}  // namespace native
