// Windows over the last tokens, where libllama has them only for the number of layers that the whole model
// has.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/libllama.h"
#include "slice/slice_file.h"

namespace native {

// In such a slice's graph every layer attends to all tokens in front, and rotates its keys and queries. While
// libllama asks the evaluation callback about an operation, attention in layers that slide is given a mask of
// their window, and the rotation in those that do not is left out: these are then the operations of the whole
// model's graph, with the same values.
class Windows {
  public:
    explicit Windows(const SliceFile& file);
    Windows(const Windows&) = delete;
    Windows& operator=(const Windows&) = delete;

    // The next graphs compute rows at these positions of their slots, in this order.
    void begin(std::span<const int32_t> positions);
    // `tensor` is about to be computed.
    void set(ggml_tensor* tensor);
    // Throws if they did not attend in each layer.
    void finish() const;

  private:
    void use_window(ggml_tensor* tensor, int32_t layer);
    bool fill();
    bool take_memory();
    bool is_causal(int64_t index, int32_t position) const;

    std::vector<uint8_t> slides_;  // for each layer of the file
    int32_t size_;                 // tokens, that of a row among them
    int32_t first_ = 0;            // the first layer that slides
    std::span<const int32_t> positions_;
    int64_t num_done_ = 0;          // rows whose graph has begun
    int64_t num_attended_ = 0;      // in all layers that slide together
    ggml_tensor* given_ = nullptr;  // libllama's mask
    ggml_tensor mask_{};
    BufferPtr buffer_;
    std::string problem_;
};

}  // namespace native
