#include "slice/slice.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "slice/huge_pages.h"
#include "slice/vector_state.h"

namespace native {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

constexpr int32_t kNoLogits = -1;

// Rows see those behind them until its end, if `is_on`.
class NonCausal {
  public:
    NonCausal(llama_context* context, bool is_on) : context_(is_on ? context : nullptr) {
        if (context_) llama_set_causal_attn(context_, false);
    }
    ~NonCausal() {
        if (context_) llama_set_causal_attn(context_, true);
    }
    NonCausal(const NonCausal&) = delete;
    NonCausal& operator=(const NonCausal&) = delete;

  private:
    llama_context* context_;
};

// How long moving what was loaded to huge pages may take. Every step reads all weights, but only the used
// part of the cache.
constexpr std::chrono::seconds most_for_weights{5};
constexpr std::chrono::seconds most_for_cache{1};

SliceFile checked_file(const SliceOptions& options) {
    check_options(options);
    return read_slice_file(options.path);
}

}  // namespace

Slice::Slice(const SliceOptions& options)
    : file_(checked_file(options)), slots_(static_cast<int32_t>(options.n_slots)) {
    const NewMemory new_memory;
    const Device device = find_device(options.device);
    model_ = load_model(file_, device, options);
    new_memory.use_huge_pages(most_for_weights);
    adapters_ = load_adapters(model_.get(), options.adapters);
    hidden_width_ = file_.hidden_width ? file_.hidden_width : llama_model_n_embd(model_.get());
    const int32_t normed_width = llama_model_n_embd_out(model_.get());
    layer_width_ = llama_model_n_embd(model_.get());
    const auto rope = llama_model_rope_type(model_.get());
    has_sections_ = rope == LLAMA_ROPE_TYPE_MROPE || rope == LLAMA_ROPE_TYPE_IMROPE;
    if (has_sections_) num_further_ = llama_model_n_embd_inp(model_.get()) - layer_width_;
    boundary_ = std::make_unique<Boundary>(file_, hidden_width_, normed_width);
    contexts_ = make_contexts(model_.get(), file_, device, options, boundary_.get());
    for (const ContextPtr& context : contexts_) use_adapters(context.get(), adapters_);
    new_memory.use_huge_pages(most_for_cache);
    damaged_.assign(options.n_slots, 0);
    num_encoded_.assign(options.n_slots, 0);
    const int32_t num_tokens = llama_vocab_n_tokens(llama_model_get_vocab(model_.get()));
    vocab_size_ = file_.vocab_size ? file_.vocab_size : num_tokens;
    has_tokens_ = vocab_size_ == num_tokens;
    embedding_width_ =
        file_.ranks() ? static_cast<int32_t>(llama_model_n_cls_out(model_.get())) : normed_width;
    can_embed_ = file_.is_last() && (!file_.is_whole() || options.embeds || file_.pools());
    is_encoder_ = file_.is_encoder || !llama_get_memory(contexts_.front().get());
    can_truncate_ = !is_encoder_ && !file_.encodes_prompt && !llama_model_is_recurrent(model_.get()) &&
                    !llama_model_is_hybrid(model_.get());
    n_ctx_ = static_cast<int32_t>(options.n_ctx);
    n_batch_ = static_cast<int32_t>(options.n_batch);
    n_ubatch_ = static_cast<int32_t>(llama_n_ubatch(contexts_.front().get()));
    weight_bytes_ = llama_model_size(model_.get());
    for (const ContextPtr& context : contexts_)
        for (const auto& [_, bytes] : llama_get_memory_breakdown(context.get())) kv_bytes_ += bytes.context;
}

void Slice::check_open() const {
    if (contexts_.empty()) bad_value("slice: closed");
}

void Slice::close() {
    last_ = {};
    logits_.reset();
    contexts_.clear();
    adapters_ = {};
    model_.reset();
}

uint64_t Slice::compute_bytes() const {
    uint64_t total = 0;
    for (const ContextPtr& context : contexts_)
        for (const auto& [_, bytes] : llama_get_memory_breakdown(context.get())) total += bytes.compute;
    return total;
}

int32_t Slice::slot_length(int64_t slot) const { return slots_.length(slots_.check("slot", slot)); }

void Slice::check_microbatch(const Microbatch& batch) const {
    const bool encodes = is_encoder_ || file_.encodes_prompt;
    const int32_t most_rows = encodes ? std::min(n_batch_, n_ubatch_) : n_batch_;
    native::check_microbatch(batch, {most_rows, vocab_size_, n_ctx_, is_encoder_, has_sections_}, slots_);
    if (file_.encodes_prompt) check_prompts(batch);
    if (batch.is_pictured) check_takes_rows(batch);
    if (batch.non_causal) check_non_causal(batch);
    if (!file_.is_last()) return;
    if (batch.embeds && !can_embed_) bad_value("embeds: the slice was loaded without embeds");
    if (!batch.embeds && (is_encoder_ || file_.ranks()) && std::ranges::count(batch.wants_logits, uint8_t{1}))
        bad_value("wants_logits: the model has no logits, only embeddings or scores");
}

// Parts beside the hidden rows, and rows that are wider than these, belong to models whose pictures need more
// than rows.
void Slice::check_takes_rows(const Microbatch& batch) const {
    if (is_encoder_ || file_.encodes_prompt || file_.needs_tokens || file_.inputs.size() > 1 ||
        llama_model_n_embd_inp(model_.get()) != row_widths(true).in)
        bad_value("hidden: this model takes no rows in the place of tokens");
    if (has_sections_ && batch.pictures.empty())
        bad_value(
            "pictures: the positions of this model have sections; say how the rows lie in their pictures");
}

RowWidths Slice::row_widths(bool is_pictured) const {
    const int32_t num_further = is_pictured ? num_further_ : 0;
    const int32_t num_handed_on = std::max(0, num_further - file_.num_blocks * layer_width_);
    return {hidden_width_ + num_further, hidden_width_, hidden_width_ + num_handed_on};
}

// A call's rows are those of tokens, which libllama gives all sections of their place in time, or those of
// pictures.
Position Slice::position(const Microbatch& batch, int32_t source, int32_t slot) const {
    const Picture* picture = source == kFiller ? nullptr : batch.picture_of(slot);
    if (!picture) {
        const int32_t time = source == kFiller
                                 ? slots_.next_position(slot)
                                 : slots_.position(slot, batch.positions[source]) - num_encoded_[slot];
        return {time, time, time};
    }
    const int32_t time = slots_.position(slot, picture->first);
    const int32_t place = batch.positions[source] - picture->first;
    return {time, time + place / picture->width, time + place % picture->width};
}

// libllama ends the process where such rows are more than an ubatch has.
void Slice::check_non_causal(const Microbatch& batch) const {
    if (is_encoder_ || file_.encodes_prompt || !llama_get_causal_attn(contexts_.front().get()))
        bad_value("non_causal: this model reads no text from its beginning to its end");
    if (batch.num_rows() > n_ubatch_)
        bad_value("non_causal: ", batch.num_rows(), " rows; one call computes at most ", n_ubatch_);
    if (std::ranges::any_of(batch.slots, [&](int32_t slot) { return slot != batch.slots.front(); }))
        bad_value("non_causal: rows of several slots; each sees those of its own only");
}

void Slice::forward(Microbatch batch, float* hidden_out) {
    const auto start = Clock::now();
    last_ = {};
    int64_t num_filler_rows = 0;
    try {
        num_filler_rows = decode(batch, limits(), hidden_out);
    } catch (...) {
        restore(batch);
        throw;
    }
    for (const int32_t slot : batch.slots) slots_.append(slot);
    for (const auto& [slot, picture] : batch.pictures) slots_.add_picture(slot, picture);
    ++timings_.num_steps;
    timings_.num_rows += batch.num_rows();
    timings_.num_filler_rows += num_filler_rows;
    timings_.forward_ms += ms_since(start);
    last_ = std::move(batch);
}

int64_t Slice::decode(const Microbatch& batch, const GroupLimits& limits, float* hidden_out) {
    int64_t num_filler_rows = 0;
    begin_logits(batch);
    if (file_.encodes_prompt) {
        encode_then_decode(batch, hidden_out);
        return 0;
    }
    for (const Group& group : group_rows(batch, slots_, limits)) {
        decode_group(batch, group, hidden_out);
        for (size_t row = 0; row < group.source.size(); ++row) {
            if (group.source[row] != kFiller) continue;
            forget(group.slots[row], slots_.next_position(group.slots[row]));
            ++num_filler_rows;
        }
    }
    return num_filler_rows;
}

// How many rows behind the last norm a call leaves. Of an encoder all come out, whether they are wanted or
// not.
int64_t Slice::num_normed(const Microbatch& batch, const Group& group) const {
    if (!file_.is_last() || !batch.embeds || file_.ranks()) return 0;
    if (is_encoder_) return std::ssize(group.source);
    return std::ranges::count_if(group.source,
                                 [&](int32_t row) { return row != kFiller && batch.wants_logits[row]; });
}

// One call of llama_decode, and so one ubatch (or, of a single slot, several in order).
void Slice::decode_group(const Microbatch& batch, const Group& group, float* hidden_out) {
    const auto num_rows = static_cast<int32_t>(group.source.size());
    llama_context* const context = context_of(group.slots.front());
    const bool is_given = batch.is_pictured;
    Call call(num_rows, is_given && has_sections_ ? kSections : 1);
    for (int32_t row = 0; row < num_rows; ++row) {
        const int32_t source = group.source[row];
        const bool is_output = !file_.is_last() || file_.ranks() || is_encoder_ ||
                               (source != kFiller && batch.wants_logits[source]);
        const int32_t slot = group.slots[row];
        call.set(row, batch, source, sequence_of(slot), position(batch, source, slot), is_output,
                 has_tokens_);
    }
    const LoggedErrors errors;
    CallRows rows(group, batch.hidden, hidden_out, row_widths(is_given));
    // What stands for tokens, libllama itself takes in: on the first slice, and where positions have sections
    // on all, for tokens have one position each.
    const float* embeddings = is_given ? rows.in() : nullptr;
    boundary_->begin(embeddings ? nullptr : rows.in(), rows.out(), num_rows, call.positions());
    std::vector<float> normed(num_normed(batch, group) * embedding_width_);
    if (!normed.empty()) boundary_->begin_normed(normed.data(), std::ssize(normed) / embedding_width_);
    if (file_.is_encoder) llama_memory_clear(llama_get_memory(context), false);
    const bool encodes = llama_model_has_encoder(model_.get()) && !file_.encodes_prompt;
    const NonCausal non_causal(context, batch.non_causal);
    const int32_t status = (encodes ? llama_encode : llama_decode)(context, call.batch(embeddings));
    llama_synchronize(context);
    clear_vector_state();
    if (status != 0) failed("forward: libllama returned ", status, ": ", errors.first("it gave no reason"));
    boundary_->finish();
    rows.finish();
    if (file_.is_last()) keep_outputs(batch, group, normed);
    note_damage(batch, group, hidden_out);
}

void Slice::begin_logits(const Microbatch& batch) {
    logits_row_.assign(batch.num_rows(), kNoLogits);
    const auto most_rows = file_.is_last() ? std::ranges::count(batch.wants_logits, uint8_t{1}) : 0;
    const int32_t width = batch.embeds ? embedding_width_ : vocab_size_;
    if (!logits_ || logits_.use_count() > 1 || logits_->most_rows() < most_rows || logits_->width() != width)
        logits_ = std::make_shared<LogitsBlock>(most_rows, width);
    logits_->clear();
}

// The next call of llama_decode would overwrite them.
void Slice::keep_outputs(const Microbatch& batch, const Group& group, const std::vector<float>& normed) {
    const float* next_normed = normed.data();
    for (int32_t row = 0; row < std::ssize(group.source); ++row) {
        const int32_t source = group.source[row], slot = group.slots[row];
        const bool is_wanted = source != kFiller && batch.wants_logits[source];
        const float* row_normed = next_normed;
        if (!normed.empty() && (is_wanted || is_encoder_)) next_normed += embedding_width_;
        if (!is_wanted) continue;
        if (!batch.embeds) {
            keep(llama_get_logits_ith(context_of(slot), row), source, slot);
        } else if (file_.ranks()) {
            keep(llama_get_embeddings_seq(context_of(slot), sequence_of(slot)), source, slot);
        } else {
            keep(row_normed, source, slot);
        }
    }
}

void Slice::keep(const float* values, int32_t row, int32_t slot) {
    if (!values) failed("forward: libllama gave nothing for row ", row);
    logits_row_[row] = static_cast<int32_t>(logits_->num_rows());
    if (!logits_->add(values)) damaged_[slot] = 1;
}

void Slice::check_has(bool embeddings) const {
    if (!file_.is_last()) bad_value("rows: only the last slice has logits or embeddings");
    const char* what = embeddings ? "embeddings" : "logits";
    if (last_.num_rows() == 0 || last_.embeds != embeddings)
        bad_value("rows: there was no forward whose ", what, " could be read");
}

std::shared_ptr<const LogitsBlock> Slice::wanted_logits() const {
    check_has(false);
    return logits_;
}

std::shared_ptr<const LogitsBlock> Slice::wanted_embeddings() const {
    check_has(true);
    return logits_;
}

int32_t Slice::flagged_row(int64_t row) const {
    check_has(false);
    const int32_t checked = in_range("rows", row, 0, last_.num_rows() - 1);
    if (!last_.wants_logits[checked]) bad_value("rows: row ", row, " was not flagged in wants_logits");
    return checked;
}

void Slice::check_rows(const std::vector<int64_t>& rows) const {
    for (const int64_t row : rows) flagged_row(row);
}

void Slice::logits(const std::vector<int64_t>& rows, float* out) {
    check_rows(rows);
    for (const int64_t row : rows) {
        const auto values = logits_->row(logits_row_[row]);
        out = std::copy(values.begin(), values.end(), out);
    }
}

void Slice::set_threads(int64_t n_threads) {
    const int32_t checked = check_threads(n_threads);
    for (const ContextPtr& context : contexts_)
        if (llama_n_threads(context.get()) != checked) llama_set_n_threads(context.get(), checked, checked);
}

void Slice::set_scales(const std::vector<float>& scales) {
    for (const ContextPtr& context : contexts_) scale_adapters(context.get(), adapters_, scales);
}

void Slice::set_row_sizes(const std::vector<int64_t>& sizes) {
    if (std::ssize(sizes) > n_batch_)
        bad_value("sizes: ", sizes.size(), " of them; a microbatch has at most ", n_batch_, " rows");
    std::vector<int32_t> checked;
    for (const int64_t size : sizes)
        checked.push_back(in_range("sizes", size, std::ssize(checked) + 1, n_batch_));
    row_sizes_ = std::move(checked);
}

}  // namespace native
