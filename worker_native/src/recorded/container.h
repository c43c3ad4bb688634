// A `.ggp` file: mapped, with the tensors and arrays of bytes that its header names. Nothing of it reaches
// ggml before every field holds.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/libllama.h"

namespace native {

// A tensor of the file. `data` lies in the mapping.
struct StoredTensor {
    ggml_type type;
    const char* data;
    size_t num_bytes;
};

class Container {
  public:
    // Throws std::invalid_argument, which names the path and the field.
    explicit Container(const std::string& path);

    // The array of uint8 of a key; empty if there is none.
    std::string_view bytes(const std::string& key) const;
    const StoredTensor* find(const std::string& name) const;
    // Keeps the mapping.
    const std::shared_ptr<const void>& owner() const { return mapping_; }

  private:
    std::shared_ptr<const void> mapping_;
    std::map<std::string, std::string_view> arrays_;
    std::map<std::string, StoredTensor> tensors_;
};

}  // namespace native
