// What the encoder of a model with a decoder makes of a prompt, on its way from slice to slice.
#pragma once

#include <cstdint>
#include <string>

#include "base/libllama.h"

namespace native {

// libllama keeps the rows that llama_encode leaves for the decoder of the same context. The first slice has
// the encoder: its rows are read off the graph. Later slices have one of zeros in its place, of which nothing
// is computed: the rows that came along are written where it would leave its own.
class EncodedRows {
  public:
    // The next graph is an encoder's, of `num_rows` rows. `in` is null on the first slice, `out` on the last.
    void begin(const float* in, float* out, int64_t num_rows, int64_t width);
    // Throws if it was not.
    void finish();
    void end() { num_rows_ = 0; }

    bool is_active() const { return num_rows_ > 0; }
    // As an evaluation callback.
    bool on_tensor(ggml_tensor* tensor, bool is_question);

  private:
    void computed(ggml_tensor* tensor);

    const float* in_ = nullptr;
    float* out_ = nullptr;
    int64_t num_rows_ = 0, width_ = 0;
    bool is_done_ = false;
    std::string problem_;
};

}  // namespace native
