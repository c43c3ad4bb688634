// What changes logits, and cuts tokens off, between a row of logits and the draw.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/libllama.h"
#include "sampling/dry.h"
#include "sampling/order.h"
#include "sampling/params.h"

namespace native {

// Where a draw is: all that it depends on, beside the logits and the parameters.
struct Place {
    int32_t position;                  // of the token before the one that is drawn
    std::span<const int32_t> history;  // the slot's tokens, up to that one
};

// The filters of one request, in its order, on libllama's samplers where it has them.
class Filters {
  public:
    Filters(const SamplerParams& params, int32_t vocab_size, int32_t n_ctx,
            std::shared_ptr<const Breakers> breakers);

    // Those that come before any token is cut off, and only change logits of recent tokens.
    bool weigh_first() const { return num_first_ > 0; }
    void weigh(std::span<float> row, const Place& place) const;
    // The largest logits are all that the next ones look at; 0: they look at all.
    int64_t cut_first() const { return cuts_first_ ? params_.top_k : 0; }
    // The rest, on candidates that are sorted by logit or not. Some are left.
    void apply(llama_token_data_array& candidates, const Place& place) const;

  private:
    struct Step {
        Filter filter;
        SamplerPtr sampler;  // null where it is ours
    };

    SamplerPtr make(Filter filter) const;
    void apply_step(const Step& step, llama_token_data_array& candidates, const Place& place) const;
    // What recent tokens are penalised by.
    void penalise(llama_sampler* penalties, llama_token_data_array& candidates, const Place& place) const;
    void penalise_row(const Step& step, std::span<float> row, const Place& place) const;

    SamplerParams params_;
    int32_t vocab_size_, num_recent_;
    std::shared_ptr<const Breakers> breakers_;
    std::vector<Step> steps_;  // the first ones, and those behind the cut
    size_t num_first_ = 0;
    bool cuts_first_ = false;
};

// Drops the candidates whose logit is below `least`, and keeps the order of the others.
void drop_below(llama_token_data_array& candidates, float least);

// Has the larger logit; of equals, the smaller token.
bool is_better(const llama_token_data& a, const llama_token_data& b);

float largest_logit(const llama_token_data_array& candidates);

}  // namespace native
