// Layers of zeros in front of a slice's own, of which nothing is read.
#pragma once

#include <cstdint>

#include "base/libllama.h"

namespace native {

// Spares what takes time in them: while libllama asks the evaluation callback about an operation that
// multiplies with their weights, or attends to their cache, it is made one that fills its result with zeros,
// which is what it would have been. So their weights are never read.
class ZeroLayers {
  public:
    // They are the first `num_layers` of the file.
    explicit ZeroLayers(int32_t num_layers) : num_layers_(num_layers) {}

    // `tensor` is about to be computed.
    void spare(ggml_tensor* tensor) const;

  private:
    int32_t num_layers_;
};

}  // namespace native
