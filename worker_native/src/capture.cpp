#include "capture.h"

#include <cstring>

#include "check.h"

namespace native {

Capture::Capture(int32_t num_layers, int32_t hidden_width)
    : name_(text("l_out-", num_layers - 1)), hidden_width_(hidden_width) {}

void Capture::begin(float* out, int32_t num_rows) {
    out_ = out;
    rows_left_ = num_rows;
    problem_.clear();
}

void Capture::finish() {
    out_ = nullptr;
    if (!problem_.empty()) failed("hidden rows: ", problem_);
    if (rows_left_ > 0)
        failed("hidden rows: the graph computed no tensor ", name_, " for ", rows_left_,
               " rows; this architecture cannot be cut");
}

bool Capture::on_tensor(ggml_tensor* tensor, bool is_question, void* capture) {
    Capture& self = *static_cast<Capture*>(capture);
    if (is_question) return self.name_ == tensor->name;
    self.take(tensor);
    return false;
}

void Capture::take(const ggml_tensor* tensor) {
    const int64_t num_rows = tensor->ne[1];
    if (tensor->type != GGML_TYPE_F32 || tensor->ne[0] != hidden_width_ || ggml_nrows(tensor) != num_rows ||
        tensor->nb[0] != sizeof(float) || num_rows > rows_left_ || !out_) {
        problem_ = text(name_, " is ", ggml_type_name(tensor->type), " [", tensor->ne[1], ", ", tensor->ne[0],
                        "], expected f32 [", rows_left_, ", ", hidden_width_, "]");
        return;
    }
    const size_t row_bytes = hidden_width_ * sizeof(float);
    if (ggml_is_contiguous(tensor)) {
        ggml_backend_tensor_get(tensor, out_, 0, num_rows * row_bytes);
    } else {
        for (int64_t row = 0; row < num_rows; ++row)
            ggml_backend_tensor_get(tensor, out_ + row * hidden_width_, row * tensor->nb[1], row_bytes);
    }
    out_ += num_rows * hidden_width_;
    rows_left_ -= num_rows;
}

}  // namespace native
