#include "slice/windows.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>

#include "base/check.h"
#include "slice/layer_name.h"

namespace native {
namespace {

constexpr size_t kFlashMask = 3, kSoftMaxMask = 1;  // which operand is the mask

std::vector<float> read_row(const ggml_tensor* mask, int64_t index) {
    std::vector<float> row(mask->ne[0]);
    const char* data = static_cast<const char*>(mask->data) + index * mask->nb[1];
    if (mask->type == GGML_TYPE_F16)
        ggml_fp16_to_fp32_row(reinterpret_cast<const ggml_fp16_t*>(data), row.data(), std::ssize(row));
    else
        std::copy_n(reinterpret_cast<const float*>(data), row.size(), row.data());
    return row;
}

void write_row(ggml_tensor* mask, int64_t index, const std::vector<float>& row) {
    std::vector<ggml_fp16_t> halves;
    const void* values = row.data();
    if (mask->type == GGML_TYPE_F16) {
        halves.resize(row.size());
        ggml_fp32_to_fp16_row(row.data(), halves.data(), std::ssize(row));
        values = halves.data();
    }
    ggml_backend_tensor_set(mask, values, index * mask->nb[1], mask->nb[1]);
}

}  // namespace

Windows::Windows(const SliceFile& file) : slides_(file.slides), size_(file.window_size) {
    const auto found = std::ranges::find(slides_, uint8_t{1});
    first_ = static_cast<int32_t>(found - slides_.begin());
}

void Windows::begin(std::span<const int32_t> positions) {
    positions_ = positions;
    num_done_ = num_attended_ = 0;
    problem_.clear();
}

void Windows::set(ggml_tensor* tensor) {
    if (slides_.empty()) return;
    const auto slides = [this](int32_t layer) { return slides_[layer] != 0; };
    const auto is_known = [this](int32_t layer) { return layer >= 0 && layer < std::ssize(slides_); };
    if (tensor->op == GGML_OP_ROPE) {
        const int32_t layer = parsed_name(tensor->name).layer;
        if (!is_known(layer) || slides(layer)) return;
        // Where it would have been written over its operand, that is the result.
        tensor->op = tensor->data == tensor->src[0]->data ? GGML_OP_NONE : GGML_OP_DUP;
        std::fill(std::begin(tensor->op_params), std::end(tensor->op_params), 0);
        std::fill(std::next(std::begin(tensor->src)), std::end(tensor->src), nullptr);
        return;
    }
    const int32_t layer = layer_of_attention(tensor);
    if (is_known(layer) && slides(layer)) use_window(tensor, layer);
}

void Windows::use_window(ggml_tensor* tensor, int32_t layer) {
    ggml_tensor*& mask = tensor->src[tensor->op == GGML_OP_FLASH_ATTN_EXT ? kFlashMask : kSoftMaxMask];
    if (!mask) {
        problem_ = text("layer ", layer, " attends without a mask");
        return;
    }
    if (mask != &mask_) given_ = mask;  // else libllama uses its graph again
    if (layer == first_ && !fill()) return;
    mask = &mask_;
    num_attended_ += ggml_nrows(&mask_);
}

// False, and a problem, if libllama's mask is not one of all tokens in front.
bool Windows::fill() {
    const int64_t num_rows = ggml_nrows(given_);
    if ((given_->type != GGML_TYPE_F16 && given_->type != GGML_TYPE_F32) || !ggml_is_contiguous(given_) ||
        num_done_ + num_rows > std::ssize(positions_)) {
        problem_ = text(given_->name, " is not a mask of ", std::ssize(positions_) - num_done_, " rows");
        return false;
    }
    if (!take_memory()) return false;
    std::vector<float> row(given_->ne[0]);
    for (int64_t i = 0; i < num_rows; ++i) {
        const int32_t position = positions_[num_done_ + i];
        if (!is_causal(i, position)) {
            problem_ = text(given_->name, " does not mask all but the tokens up to ", position);
            return false;
        }
        for (int64_t cell = 0; cell < std::ssize(row); ++cell)
            row[cell] = cell <= position && position - cell < size_ ? 0.0F : -INFINITY;
        write_row(&mask_, i, row);
    }
    num_done_ += num_rows;
    return true;
}

// A mask like the given one, in memory of its kind.
bool Windows::take_memory() {
    const size_t num_bytes = ggml_nbytes(given_);
    if (!buffer_ || ggml_backend_buffer_get_size(buffer_.get()) < num_bytes) {
        ggml_backend_buffer_type_t kind = ggml_backend_buffer_get_type(given_->buffer);
        buffer_.reset(ggml_backend_buft_alloc_buffer(kind, num_bytes));
    }
    if (!buffer_) {
        problem_ = text("there is no memory for a mask of ", num_bytes, " bytes");
        return false;
    }
    mask_ = *given_;
    mask_.op = GGML_OP_NONE;
    std::fill(std::begin(mask_.src), std::end(mask_.src), nullptr);
    mask_.view_src = nullptr;
    mask_.view_offs = 0;
    mask_.extra = nullptr;
    mask_.buffer = buffer_.get();
    mask_.data = ggml_backend_buffer_get_base(buffer_.get());
    return true;
}

// A cell of a slot's cache holds the token whose position is the number of the cell: tokens come one after
// another, and a slot that is cut short goes on at the first cell that became free. True also where
// libllama's mask cannot be read at this time.
bool Windows::is_causal(int64_t index, int32_t position) const {
    if (!ggml_backend_buffer_is_host(given_->buffer)) return true;
    const std::vector<float> row = read_row(given_, index);
    if (position >= std::ssize(row)) return false;
    const auto end = row.begin() + position + 1;
    return std::all_of(row.begin(), end, [](float value) { return value == 0.0F; }) &&
           std::all_of(end, row.end(), [](float value) { return value == -INFINITY; });
}

void Windows::finish() const {
    if (slides_.empty()) return;
    if (!problem_.empty()) failed("windows: ", problem_);
    const auto num_sliding = std::ranges::count(slides_, uint8_t{1});
    if (num_attended_ != num_sliding * std::ssize(positions_))
        failed("windows: the graph attends for ", num_attended_, " rows in ", num_sliding,
               " layers that slide, not ", std::ssize(positions_),
               " in each; this architecture cannot be cut");
}

}  // namespace native
