// Takes the hidden rows out of libllama's graph, and stops the graph there.
#pragma once

#include <cstdint>
#include <string>

#include "libllama.h"

namespace native {

// Installed as the context's evaluation callback on all but the last slice. The tensor `l_out-{n-1}`, [E, T]
// in ggml's order, is the output of the slice's last layer. Answering false there skips the norm and the
// head.
class Capture {
  public:
    Capture(int32_t num_layers, int32_t hidden_width);
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    // The next graphs write `num_rows` rows of `hidden_width` floats to `out`, in batch order.
    void begin(float* out, int32_t num_rows);
    // Throws if they did not.
    void finish();

    static bool on_tensor(ggml_tensor* tensor, bool is_question, void* capture);

  private:
    void take(const ggml_tensor* tensor);

    std::string name_;
    int64_t hidden_width_;
    float* out_ = nullptr;
    int64_t rows_left_ = 0;
    std::string problem_;
};

}  // namespace native
