#include "sampling/sampled.h"

#include <cmath>

#include "base/check.h"

namespace native {

Probabilities::Probabilities(std::span<const float> logits, BlockMaxima& maxima)
    : logits_(logits), maxima_(maxima) {
    maxima.scan(logits);
    if (maxima.has_nan || !std::isfinite(maxima.largest))
        failed(
            "the model gives logits that are not finite for this text; its weights are damaged, or their "
            "numbers overflow: get the file again, or another quantisation");
    log_sum_ = log_sum_exp(logits, maxima.largest);
}

void Probabilities::tell(int32_t token, int64_t num_top, std::vector<int32_t>& tokens,
                         Sampled& sampled) const {
    sampled.token = token;
    sampled.logprob = logprob(token);
    largest_of(logits_, maxima_, num_top, tokens);
    for (const int32_t one : tokens) sampled.top.emplace_back(one, logprob(one));
}

}  // namespace native
