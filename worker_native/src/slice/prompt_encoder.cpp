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

Microbatch shortest_prompt(int32_t start_token) {
    Microbatch batch;
    batch.tokens = {start_token == 1 ? 0 : 1, start_token};
    batch.positions = {0, 1};
    batch.slots = {0, 0};
    batch.wants_logits = {0, 1};
    return batch;
}

int32_t Slice::num_encoder_rows(const Microbatch& batch) const {
    if (slots_.length(batch.slots[0]) != 0) return 0;
    const auto found = std::ranges::find(batch.tokens, decoder_start(model_.get()));
    return static_cast<int32_t>(found - batch.tokens.begin());
}

void Slice::check_prompt(const Microbatch& batch) const {
    const int32_t num_rows = num_encoder_rows(batch);
    if (slots_.length(batch.slots[0]) == 0 && (num_rows == 0 || num_rows == batch.num_rows()))
        bad_value("tokens: a prompt is a text for the encoder, then the decoder's start token ",
                  decoder_start(model_.get()), ", in one microbatch");
    for (int32_t row = 0; row < num_rows; ++row)
        if (batch.wants_logits[row])
            bad_value("wants_logits: row ", row, " is the encoder's, which has none");
}

// libllama keeps what the encoder made for the decoder's later calls, until it encodes anew.
void Slice::encode_prompt(const Microbatch& batch, int32_t num_rows) {
    Call call(num_rows);
    for (int32_t row = 0; row < num_rows; ++row) {
        const int32_t position = batch.positions[row];
        call.set(row, batch, row, batch.slots[row], {position, position, position}, true, has_tokens_);
    }
    const LoggedErrors errors;
    boundary_->begin(nullptr, nullptr, num_rows);
    const int32_t status = llama_encode(context_.get(), call.batch(nullptr));
    llama_synchronize(context_.get());
    clear_vector_state();
    if (status != 0) failed("encode: libllama returned ", status, ": ", errors.first("it gave no reason"));
}

void Slice::encode_then_decode(const Microbatch& batch, float* hidden_out) {
    const int32_t num_rows = num_encoder_rows(batch);
    if (num_rows) {
        num_encoded_ = 0;
        encode_prompt(batch, num_rows);
        num_encoded_ = num_rows;
    }
    Group group{.first = num_rows, .num_rows = batch.num_rows() - num_rows, .source = {}, .slots = {}};
    group.source.resize(group.num_rows);
    std::iota(group.source.begin(), group.source.end(), num_rows);
    group.slots.assign(group.num_rows, batch.slots[0]);
    decode_group(batch, group, hidden_out);
}

}  // namespace native
