#include "slice/encoded_rows.h"

#include <algorithm>
#include <string_view>

#include "base/check.h"

namespace native {
namespace {

constexpr std::string_view kResult = "result_norm";

}  // namespace

void EncodedRows::begin(const float* in, float* out, int64_t num_rows, int64_t width) {
    in_ = in;
    out_ = out;
    num_rows_ = in || out ? num_rows : 0;
    width_ = width;
    is_done_ = false;
    problem_.clear();
}

void EncodedRows::finish() {
    if (!is_active()) return;
    if (in_ && out_) std::copy_n(in_, num_rows_ * width_, out_);
    num_rows_ = 0;
    if (!problem_.empty()) failed("encoder: ", problem_);
    if (!is_done_) failed("encoder: its graph has no tensor ", kResult, "; this architecture cannot be cut");
}

bool EncodedRows::on_tensor(ggml_tensor* tensor, bool is_question) {
    if (is_question) {
        if (in_) tensor->op = GGML_OP_NONE;
        return tensor->name == kResult;
    }
    computed(tensor);
    return true;
}

void EncodedRows::computed(ggml_tensor* tensor) {
    if (tensor->type != GGML_TYPE_F32 || !ggml_is_contiguous(tensor) || tensor->ne[0] != width_ ||
        ggml_nrows(tensor) != num_rows_) {
        problem_ = text(kResult, " is not f32 of ", num_rows_, " rows of ", width_, " values");
        return;
    }
    const size_t num_bytes = num_rows_ * width_ * sizeof(float);
    if (in_)
        ggml_backend_tensor_set(tensor, in_, 0, num_bytes);
    else
        ggml_backend_tensor_get(tensor, out_, 0, num_bytes);
    is_done_ = true;
}

}  // namespace native
