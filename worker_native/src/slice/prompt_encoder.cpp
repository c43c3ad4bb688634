#include "slice/prompt_encoder.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/log.h"
#include "slice/call.h"
#include "slice/slice.h"
#include "slice/vector_state.h"

namespace native {

int32_t decoder_start(const llama_model* model) {
    const int32_t start = llama_model_decoder_start_token(model);
    return start == LLAMA_TOKEN_NULL ? llama_vocab_bos(llama_model_get_vocab(model)) : start;
}

Microbatch shortest_prompts(int32_t start_token, int32_t num_slots) {
    Microbatch batch;
    for (int32_t slot = 0; slot < num_slots; ++slot) {
        batch.tokens.insert(batch.tokens.end(), {start_token == 1 ? 0 : 1, start_token});
        batch.positions.insert(batch.positions.end(), {0, 1});
        batch.slots.insert(batch.slots.end(), {slot, slot});
        batch.wants_logits.insert(batch.wants_logits.end(), {0, 1});
    }
    return batch;
}

RowRange Slice::encoder_rows(const Microbatch& batch, RowRange rows) const {
    if (slots_.length(batch.slots[rows.first]) != 0) return {rows.first, rows.first};
    const auto begin = batch.tokens.begin();
    const auto found = std::find(begin + rows.first, begin + rows.end, decoder_start(model_.get()));
    return {rows.first, static_cast<int32_t>(found - begin)};
}

void Slice::check_prompts(const Microbatch& batch) const {
    for (const RowRange rows : rows_by_slot(batch)) {
        const RowRange encoded = encoder_rows(batch, rows);
        const bool is_prompt = slots_.length(batch.slots[rows.first]) == 0;
        if (is_prompt && (encoded.num_rows() == 0 || encoded.end == rows.end))
            bad_value("tokens: a prompt is a text for the encoder, then the decoder's start token ",
                      decoder_start(model_.get()), ", in one microbatch");
        for (int32_t row = encoded.first; row < encoded.end; ++row)
            if (batch.wants_logits[row])
                bad_value("wants_logits: row ", row, " is the encoder's, which has none");
    }
}

// libllama keeps what the encoder made for the decoder's later calls, until it encodes anew.
void Slice::encode_prompt(const Microbatch& batch, RowRange rows, float* hidden_out) {
    const int32_t slot = batch.slots[rows.first];
    Call call(rows.num_rows());
    for (int32_t row = rows.first; row < rows.end; ++row) {
        const int32_t position = batch.positions[row];
        call.set(row - rows.first, batch, row, sequence_of(slot), {position, position, position}, true,
                 has_tokens_);
    }
    const LoggedErrors errors;
    const int64_t begin = int64_t(rows.first) * hidden_width_;
    boundary_->begin(nullptr, nullptr, rows.num_rows());
    boundary_->encoded().begin(batch.hidden ? batch.hidden + begin : nullptr,
                               hidden_out ? hidden_out + begin : nullptr, rows.num_rows(), hidden_width_);
    const int32_t status = llama_encode(context_of(slot), call.batch(nullptr));
    llama_synchronize(context_of(slot));
    clear_vector_state();
    if (status != 0) failed("encode: libllama returned ", status, ": ", errors.first("it gave no reason"));
    boundary_->encoded().finish();
}

void Slice::encode_then_decode(const Microbatch& batch, float* hidden_out) {
    for (const RowRange rows : rows_by_slot(batch)) {
        const int32_t slot = batch.slots[rows.first];
        const RowRange encoded = encoder_rows(batch, rows);
        if (encoded.num_rows()) {
            encode_prompt(batch, encoded, hidden_out);
            num_encoded_[slot] = encoded.num_rows();
        }
        Group group{.first = encoded.end, .num_rows = rows.end - encoded.end, .source = {}, .slots = {}};
        group.source.resize(group.num_rows);
        std::iota(group.source.begin(), group.source.end(), group.first);
        group.slots.assign(group.num_rows, slot);
        decode_group(batch, group, hidden_out);
    }
}

}  // namespace native
