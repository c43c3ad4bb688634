// How long a slice takes for its first steps.
#include <algorithm>
#include <chrono>

#include "base/abort_guard.h"
#include "base/check.h"
#include "slice/prompt_encoder.h"
#include "slice/slice.h"

namespace native {
namespace {

// Rows for a measurement. They differ, so that a mixture of experts sends them to different ones.
std::vector<float> varied_rows(int32_t num_rows, int32_t width) {
    std::vector<float> rows(size_t(num_rows) * width);
    for (size_t i = 0; i < rows.size(); ++i)
        rows[i] = float((uint32_t(i) * 2654435761U) >> 24) / 128.0F - 1.0F;
    return rows;
}

// One row in each of the first slots, at position 0.
Microbatch first_rows(int32_t num_rows, int32_t vocab_size) {
    Microbatch batch;
    for (int32_t row = 0; row < num_rows; ++row) {
        batch.tokens.push_back(row % vocab_size);
        batch.slots.push_back(row);
    }
    batch.positions.assign(num_rows, 0);
    batch.wants_logits.assign(num_rows, 1);
    return batch;
}

}  // namespace

double Slice::measure_rows(int64_t num_rows) {
    const int32_t checked = in_range("num_rows", num_rows, 1, std::min(n_batch_, n_slots()));
    for (int32_t slot = 0; slot < checked; ++slot)
        if (slots_.length(slot) != 0)
            bad_value("num_rows: slot ", slot, " holds ", slots_.length(slot), " tokens; free it first");
    Microbatch batch = file_.encodes_prompt ? shortest_prompts(decoder_start(model_.get()), checked)
                                            : first_rows(checked, vocab_size_);
    const std::vector<float> hidden = varied_rows(file_.is_first() ? 0 : batch.num_rows(), hidden_width_);
    batch.hidden = hidden.empty() ? nullptr : hidden.data();
    std::vector<float> out(file_.is_last() ? 0 : size_t(batch.num_rows()) * hidden_width_);
    batch.embeds = is_encoder_ || (can_embed_ && file_.ranks());
    last_ = {};
    const AbortGuard guard;  // the first steps of all: what ggml asserts of a model's numbers shows here
    const auto start = std::chrono::steady_clock::now();
    try {
        decode(batch, {n_ubatch_, n_ctx_, {}, can_truncate_}, out.data());
    } catch (...) {
        restore(batch);
        throw;
    }
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    restore(batch);
    return took.count();
}

}  // namespace native
