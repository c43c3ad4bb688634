// The ggml devices of this process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/libllama.h"

namespace native {

class Device {
  public:
    explicit Device(ggml_backend_dev_t handle) : handle_(handle) {}
    ggml_backend_dev_t handle() const { return handle_; }
    std::string name() const { return ggml_backend_dev_name(handle_); }
    std::string description() const { return ggml_backend_dev_description(handle_); }
    std::string kind() const;  // "cpu", "gpu", "igpu" or "accel"
    bool is_cpu() const { return ggml_backend_dev_type(handle_) == GGML_BACKEND_DEVICE_TYPE_CPU; }
    uint64_t memory_total_bytes() const;
    uint64_t memory_free_bytes() const;
    std::string id() const;       // the bus address of a card; empty if there is none
    std::string backend() const;  // "CPU", "CUDA", "RPC", ...
    ggml_backend_dev_caps capabilities() const;
    std::vector<std::string> buffer_types() const;  // the default one first

  private:
    ggml_backend_dev_t handle_;
};

std::vector<Device> devices();

// A device that can hold layers; a bad name is answered with the names there are.
Device find_device(const std::string& name);

// Versions of llama.cpp and ggml, and the backends built in.
std::string build_text();

// The extra (repacked or AMX) CPU buffer type that model loading would choose for a matrix multiplied from
// the left, shape [num_rows, num_columns] in PyTorch's order; null if none supports it.
ggml_backend_buffer_type_t extra_buffer_type(ggml_type type, int64_t num_rows, int64_t num_columns);

}  // namespace native
