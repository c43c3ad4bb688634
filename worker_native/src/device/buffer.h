// Memory on a device that a tensor lies in.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/libllama.h"
#include "device/compute.h"

namespace native {

// The memory that a buffer holds, and that views of it keep alive after it is closed.
struct Memory {
    std::shared_ptr<void> owner;  // whoever owns foreign memory
    BufferPtr handle;
    void* data;
    bool is_read_only;  // foreign memory that must not be written to
    const Compute* compute;

    Memory(std::shared_ptr<void> owner, BufferPtr handle, void* data, bool is_read_only,
           const Compute& compute)
        : owner(std::move(owner)),
          handle(std::move(handle)),
          data(data),
          is_read_only(is_read_only),
          compute(&compute) {}
    ~Memory() {
        if (compute->is_elsewhere())
            (void)handle.release();  // only the process that has the device can free it
    }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    // Puts a tensor of a graph here; it must not be larger than the memory.
    void place(ggml_tensor* tensor) const {
        tensor->buffer = handle.get();
        tensor->data = data;
    }
};

using MemoryPtr = std::shared_ptr<const Memory>;

// Owns its memory, or borrows it from an owner that it keeps alive. The last reference frees it, or `close`.
class Buffer {
  public:
    // Uninitialised memory; throws OutOfMemory. Thread-safe.
    Buffer(Compute& compute, size_t num_bytes);
    // Memory of the CPU that `pinned_for` reads fast; throws OutOfMemory, or invalid_argument if it has none.
    Buffer(Compute& compute, size_t num_bytes, const Device& pinned_for);
    // Memory of `owner`, at any alignment, on the CPU or on the device that it lies on.
    Buffer(Compute& compute, void* data, size_t num_bytes, std::shared_ptr<void> owner, bool is_read_only);

    size_t num_bytes() const { return num_bytes_; }
    Compute& compute() const { return *compute_; }
    const std::string device_name() const { return compute_->device().name(); }

    // The memory, which lives at least as long as the result; throws if the buffer is closed.
    MemoryPtr memory() const;
    // Lets go of the memory. It is freed once no run, and no view outside, uses it any more.
    void close();
    bool is_closed() const;
    // Whether a view outside (or a run that is under way) uses the memory, too.
    bool is_viewed() const;
    bool is_read_only() const { return memory()->is_read_only; }
    bool is_host() const { return ggml_backend_buffer_is_host(memory()->handle.get()); }
    std::string type_name() const { return ggml_backend_buffer_name(memory()->handle.get()); }

    // Ranges in bytes, checked. They wait for the device. Nothing is written into memory that is read-only.
    void write(const void* source, size_t offset, size_t num_bytes);
    void read(void* target, size_t offset, size_t num_bytes) const;
    // Copies all of `source`, which may lie on another device; the sizes must be equal.
    void copy_from(const Buffer& source);

  private:
    void check_range(size_t offset, size_t num_bytes) const;
    MemoryPtr writable_memory() const;

    Compute* compute_;
    size_t num_bytes_;
    mutable Lock guard_;  // guards memory_
    MemoryPtr memory_;
};

}  // namespace native
