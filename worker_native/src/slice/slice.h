// Layers [first, end) of a model on one device, with a KV cache of n_slots sequences.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/libllama.h"
#include "base/one_at_a_time.h"
#include "slice/adapters.h"
#include "slice/boundary.h"
#include "slice/call.h"
#include "slice/call_rows.h"
#include "slice/groups.h"
#include "slice/load.h"
#include "slice/logits_block.h"
#include "slice/microbatch.h"
#include "slice/slots.h"

namespace native {

struct Timings {
    int64_t num_steps = 0;
    int64_t num_rows = 0;
    int64_t num_filler_rows = 0;
    double forward_ms = 0;
};

class Slice {
  public:
    explicit Slice(const SliceOptions& options);

    const SliceFile& file() const { return file_; }
    int32_t hidden_width() const { return hidden_width_; }
    RowWidths row_widths(bool is_pictured) const;
    int32_t vocab_size() const { return vocab_size_; }
    // Of a row that a forward that embeds leaves: the model's width, or its number of scores.
    int32_t embedding_width() const { return embedding_width_; }
    bool is_encoder() const { return is_encoder_; }
    bool can_truncate() const { return can_truncate_; }
    int32_t n_ctx() const { return n_ctx_; }
    int32_t n_slots() const { return slots_.num_slots(); }
    int32_t n_batch() const { return n_batch_; }
    uint64_t weight_bytes() const { return weight_bytes_; }
    uint64_t kv_bytes() const { return kv_bytes_; }
    uint64_t compute_bytes() const;
    const Timings& timings() const { return timings_; }
    int32_t slot_length(int64_t slot) const;

    void check_microbatch(const Microbatch& batch) const;
    // Takes a checked microbatch. All but the last slice write [T, E] to `hidden_out`. If it throws, the
    // slots are as before, or empty where they cannot be truncated.
    void forward(Microbatch batch, float* hidden_out);
    // The logits of all rows of the last forward that wanted them, in their order.
    std::shared_ptr<const LogitsBlock> wanted_logits() const;
    // The same of a forward that embedded: [L, embedding_width].
    std::shared_ptr<const LogitsBlock> wanted_embeddings() const;
    // Writes [R, V].
    void logits(const std::vector<int64_t>& rows, float* out);
    void check_rows(const std::vector<int64_t>& rows) const;

    void set_threads(int64_t n_threads);
    // Of the adapters that it was loaded with, from the next forward on.
    void set_scales(const std::vector<float>& scales);
    // How many rows a call of n single rows computes: `sizes[n - 1]`; beyond the list, n.
    void set_row_sizes(const std::vector<int64_t>& sizes);
    // Milliseconds of a forward of one row in each of the slots [0, num_rows), which must be empty.
    double measure_rows(int64_t num_rows);
    // Makes `slot` hold the first `length` tokens that `source` holds.
    void prepare_slot(int64_t slot, int64_t source, int64_t length);
    void close();
    void check_open() const;

    OneAtATime& door() { return door_; }

  private:
    GroupLimits limits() const { return {n_ubatch_, n_ctx_, row_sizes_, can_truncate_}; }
    Position position(const Microbatch& batch, int32_t source, int32_t slot) const;
    // Returns how many filler rows were computed.
    int64_t decode(const Microbatch& batch, const GroupLimits& limits, float* hidden_out);
    // Of a model with an encoder and a decoder, slot by slot: a prompt's encoder rows, then the decoder's.
    void encode_then_decode(const Microbatch& batch, float* hidden_out);
    void encode_prompt(const Microbatch& batch, RowRange rows, float* hidden_out);
    // The rows of one slot that are the encoder's: those in front of the decoder's start token, where the
    // slot is empty.
    RowRange encoder_rows(const Microbatch& batch, RowRange rows) const;
    void check_prompts(const Microbatch& batch) const;
    // The context that holds the slot, and the slot's number there.
    llama_context* context_of(int32_t slot) const { return contexts_[own_contexts() ? slot : 0].get(); }
    int32_t sequence_of(int32_t slot) const { return own_contexts() ? 0 : slot; }
    bool own_contexts() const { return file_.encodes_prompt; }
    void decode_group(const Microbatch& batch, const Group& group, float* hidden_out);
    int64_t num_normed(const Microbatch& batch, const Group& group) const;
    void keep_outputs(const Microbatch& batch, const Group& group, const std::vector<float>& normed);
    void keep(const float* values, int32_t row, int32_t slot);
    void forget(int32_t slot, int32_t position);
    // Notes the slots of a call in which a row is not finite, before or after its layers.
    void note_damage(const Microbatch& batch, const Group& group, const float* hidden_out);
    // Writes over all that an empty slot ever held, if it is damaged and there is something to write.
    void mend(int32_t slot);
    void truncate(int32_t slot, int32_t length);
    void restore(const Microbatch& batch);
    void check_takes_rows(const Microbatch& batch) const;
    void check_non_causal(const Microbatch& batch) const;
    int32_t flagged_row(int64_t row) const;
    void begin_logits(const Microbatch& batch);
    void check_has(bool embeddings) const;

    SliceFile file_;
    std::unique_ptr<Boundary> boundary_;  // outlives the context
    ModelPtr model_;
    Adapters adapters_;  // the model owns them
    // One, or one for each slot where libllama keeps what an encoder made of a text in its context.
    std::vector<ContextPtr> contexts_;
    Slots slots_;
    std::vector<uint8_t>
        damaged_;  // slots with numbers in the cache that are not finite, even if they were truncated
    std::vector<int32_t> row_sizes_;
    Microbatch last_;                      // the last forward that succeeded; empty if there is none
    std::shared_ptr<LogitsBlock> logits_;  // the rows of `last_` that want them; embeddings, if it embedded
    std::vector<int32_t> logits_row_;      // for each row of `last_`, its row in `logits_`
    Timings timings_;
    int32_t hidden_width_;
    int32_t num_further_ = 0;  // floats that libllama takes behind a hidden row that stands for a token
    int32_t layer_width_;      // of them, each of its first layers uses so many
    int32_t vocab_size_;
    int32_t embedding_width_;
    bool can_embed_;   // the last slice, unless it was loaded for text alone
    bool is_encoder_;  // reads a whole text at once, and remembers none
    std::vector<int32_t>
        num_encoded_;    // of each slot's rows are the encoder's; the decoder counts from there
    bool has_sections_;  // in its positions: pictures have lines and columns (M-RoPE)
    bool has_tokens_;    // else token ids mean nothing to this slice
    bool can_truncate_;
    int32_t n_ctx_;
    int32_t n_batch_;
    int32_t n_ubatch_;
    uint64_t weight_bytes_;
    uint64_t kv_bytes_ = 0;
    OneAtATime door_{"slice"};
};

}  // namespace native
