// Factors that libllama derives from how many layers a file has: a slice says what they are in its model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/libllama.h"
#include "slice/slice_file.h"

namespace native {

// Sets them in libllama's graphs while the evaluation callback is asked about each operation, which is before
// it is computed. So the operation is the same as in the graph of the whole model, with the same factor.
//
// It is GGML_OP_SCALE, and it or what it is applied to has a name of `SliceFile::scaled`, with the number of
// the layer behind it. Where neither has a number, the factor that libllama put there tells the layer.
class LayerScales {
  public:
    explicit LayerScales(const SliceFile& file)
        : names_(file.scaled), scales_(file.scales), derived_(file.derived_scales) {}

    void begin();
    // `tensor` is about to be computed.
    void set(ggml_tensor* tensor);
    // Throws if the graphs since `begin` had no factor to set for a layer that has one.
    void finish() const;

  private:
    int32_t layer_by_factor(const ggml_tensor* tensor) const;

    std::vector<std::string> names_;
    std::vector<float> scales_;   // of each layer of the file in its model; NaN: the layer has none
    std::vector<float> derived_;  // what libllama takes for it
    std::vector<char> is_set_;    // for each name, each layer
    std::string problem_;
};

}  // namespace native
